# docker build -t llm-service .
# docker run -d --env-file .env --name llm-service -v /path/to/logs:/app/logs llm-service
#
# Its root file system may be read-only; it writes to /tmp (documents while they are worked on) and to /app/logs:
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --env-file .env llm-service
# It runs as 10001:10001: a folder mounted at /app/logs must be writable for that user, or the log goes to the terminal
# only, after a warning. There is no VOLUME: each container without a mount would leave an anonymous one behind.
#
# It adds 315 MB to its base (113 MB to download); 220 of them read PDF, Word, Excel and PowerPoint.
# docker build --build-arg EXTRAS= -t llm-service:text .            without those: text, HTML and mail only
# docker build --build-arg EXTRAS="documents ocr" -t llm-service:ocr .   and pictures of text in Russian
#                                                                    and English: 46 MB more
# docker build --build-arg PYTHON_IMAGE=python@sha256:… .           the base by its digest, or from a mirror

# The minor version and the Debian release are fixed, so that a rebuild brings security fixes and nothing else. The digest
# behind the tag: docker buildx imagetools inspect python:3.13-slim-trixie
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS builder
ARG EXTRAS="documents"
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
COPY requirements.txt ./
# Wheels only, each checked against the lock: nothing is compiled, so no compiler is needed here either.
RUN python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --quiet --require-hashes --no-deps --no-compile \
        --only-binary :all: --requirement requirements.txt
# Tesseract is in its wheel; what it has learnt is Debian's, and nothing else of Debian's comes along.
# hadolint ignore=DL3008
RUN install --directory /opt/tessdata \
    && case " ${EXTRAS} " in *" ocr "*) \
        apt-get update -q \
        && apt-get install -q -y --no-install-recommends tesseract-ocr-eng tesseract-ocr-rus \
        && cp /usr/share/tesseract-ocr/5/tessdata/eng.traineddata /usr/share/tesseract-ocr/5/tessdata/rus.traineddata \
            /opt/tessdata \
        && rm -rf /var/lib/apt/lists/* ;; \
    esac
COPY pyproject.toml README.md ./
COPY deploy/image/slim.py ./
COPY llm_service llm_service
# Byte code by content, not by time: the root may be read-only, and what is not compiled here is compiled at every start.
# hadolint ignore=DL3042,SC2086
RUN python -m pip --python /opt/venv/bin/python install --quiet --no-deps --no-index --no-build-isolation --no-compile . \
    && python slim.py /opt/venv ${EXTRAS} \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv

FROM ${PYTHON_IMAGE}
# The base comes with pip, which nothing here uses and an intruder would, and without byte code of the standard library.
RUN groupadd --gid 10001 llm-service \
    && useradd --uid 10001 --gid 10001 --home-dir /app --no-create-home --shell /usr/sbin/nologin llm-service \
    && install --directory --owner 10001 --group 10001 /app/logs \
    && python -m pip uninstall --quiet --yes --root-user-action ignore pip \
    && python -c "import ensurepip, shutil; shutil.rmtree(ensurepip.__path__[0])" \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -x '/(site-packages|dist-packages|test|tests|idlelib|turtledemo|tkinter|lib2to3|pydoc_data)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LOG_DIR=/app/logs \
    HTTP_HOST=0.0.0.0
WORKDIR /app
EXPOSE 8081
STOPSIGNAL SIGTERM
# /live answers from the first second of the start, before Kafka is reached.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["llm-service", "check", "--live"]
ENTRYPOINT ["llm-service"]
CMD ["run"]
# What changes with each build comes last.
COPY --from=builder /opt/tessdata /usr/share/tessdata
COPY --from=builder /opt/venv /opt/venv
COPY main.py /app/
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="llm-service" \
      org.opencontainers.image.description="A Kafka worker that turns documents and prompts into LLM results" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 10001:10001
