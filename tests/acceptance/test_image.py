"""The image as the Dockerfile builds it, run as a strict platform runs it, set up as docker-compose.yml sets it up."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from llm_service import __version__
from tests.acceptance.container_worker import ContainerWorker
from tests.acceptance.worker import workers
from tests.services.image import PROJECT, Image
from tests.services.image_base import file_of_base
from tests.services.image_run import Container
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.postgres import Postgres
from tests.unit.deploy.compose_file import ComposeFile
from tests.unit.files import documents
from tests.unit.settings.test_deployment_env import DEPLOYMENT, as_docker_passes_it

SAMPLES = PROJECT / "llm_service" / "samples"
CHECK_FAILED, CONFIG, ENDED_BY_SIGTERM = 3, 78, 128 + signal.SIGTERM
LOGS = "/app/logs"
NOBODY_THERE = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "BOOTSTRAP_RETRY_DELAY_SECONDS": "1"}
WHO = """
import json, os
status = dict(line.rstrip("\\n").split(":\\t", 1) for line in open("/proc/self/status"))
def writable(folder):
    try:
        open(folder + "/probe", "w").close()
    except OSError:
        return False
    return True
print(json.dumps({
    "ids": [os.getuid(), os.getgid(), *os.getgroups()],
    "pid": os.getpid(),
    "folder": os.getcwd(),
    "capabilities": sum(int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")),
    "new_privileges": status["NoNewPrivs"] == "0",
    "writable": [folder for folder in ("/", "/app", "/app/logs", "/opt/venv", "/usr", "/tmp") if writable(folder)],
}))
"""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The compose file's worker and jobs, with the test bed's addresses and names that no other test has."""

    image: Image
    env: dict[str, str]
    folder: Path

    def container(self, **more: str) -> Container:
        return Container(self.image, {**self.env, **more})

    def job(self, name: str) -> tuple[int, str]:
        """Run a one-shot job of the compose file: its exit code and all it said."""
        service = ComposeFile().services[name]
        mounts = {PROJECT / source: target for source, target, _ in _split(service.get("volumes", ()))}
        container = replace(self.container(), mounts=mounts)
        done = container.run(*service["command"], entrypoint=service.get("entrypoint"))
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def deployment(
    image: Image,
    kafka: Kafka,
    minio: MinioServer,
    postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> Deployment:
    database = urlsplit(postgres.database())
    of_compose = ComposeFile().environment("worker")
    env = {
        **of_compose,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_TASKS_TOPIC": kafka.unique("tasks"),
        "KAFKA_STATUS_TOPIC": kafka.unique("status"),
        "KAFKA_DLQ_TOPIC": kafka.unique("dlq"),
        "KAFKA_GROUP_ID": kafka.unique("workers"),
        "MINIO_ENDPOINT": minio.endpoint,
        "MINIO_ACCESS_KEY": minio.access_key,
        "MINIO_SECRET_KEY": minio.secret_key,
        "MINIO_BUCKET_NAME": kafka.unique("bucket"),
        "POSTGRES_HOST": database.hostname or "",
        "POSTGRES_PORT": str(database.port),
        "POSTGRES_DATABASE": database.path.removeprefix("/"),
        "POSTGRES_USER": database.username or "",
        "POSTGRES_PASSWORD": database.password or "",
    }
    return Deployment(image, env, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def worker(deployment: Deployment) -> Iterator[ContainerWorker]:
    """Up after the jobs, as Compose orders it; its log folder is a mount that root owns."""
    for job in ("topics", "bucket"):
        code, said = deployment.job(job)
        assert code == 0, said
    logs = deployment.folder / "of-root"
    logs.mkdir(mode=0o755)
    container = replace(deployment.container(), mounts={logs: LOGS})
    running = ContainerWorker(container, deployment.folder / "worker.log")
    with workers(running):
        running.start()
        yield running


def test_it_is_process_1_of_a_user_without_rights_and_writes_to_temporary_files_only(image: Image) -> None:
    container = Container(image)

    assert container.run("version").stdout == f"{__version__}\n"
    assert json.loads(container.python(WHO)) == {
        "ids": [10001, 10001],
        "pid": 1,
        "folder": "/app",
        "capabilities": 0,
        "new_privileges": False,
        "writable": ["/tmp"],
    }


def test_nothing_in_it_is_its_user_s_but_the_log_folder(image: Image) -> None:
    own, open_to_all = [], []
    for path in image.root.rglob("*"):
        found = path.lstat()
        if 10001 in {found.st_uid, found.st_gid}:
            own.append(f"/{path.relative_to(image.root)}")
        if (
            found.st_mode & stat.S_IWOTH
            and not stat.S_ISLNK(found.st_mode)
            and not found.st_mode & stat.S_ISVTX
        ):
            open_to_all.append(f"/{path.relative_to(image.root)}")
    assert own == [LOGS]
    assert [path for path in open_to_all if not path.startswith("/dev/")] == []


def test_it_holds_no_tools_no_secrets_and_nothing_of_the_machine_that_built_it(image: Image) -> None:
    root = image.root
    names = {
        path.name
        for folder in ("usr/bin", "usr/local/bin", "opt/venv/bin")
        for path in (root / folder).iterdir()
    }
    packages = {path.name for path in root.glob("opt/venv/lib/python*/site-packages/*")}

    assert not {name for name in names if name.startswith(("pip", "gcc", "cc", "g++", "make", "git"))}
    assert not {
        name for name in packages if name.startswith(("pip", "setuptools", "pytest", "sympy", "mpmath"))
    }
    assert not list(root.glob("usr/**/*-packages/pip")) + list(root.glob("usr/**/ensurepip"))
    assert not {path.name for path in root.rglob(".*")} & {".env", ".git", ".venv", ".ci", ".cache"}
    assert {path.name for path in (root / "app").iterdir()} == {"logs", "main.py"}
    # pip's configuration was lent to the build: the place of the mount is left, empty.
    assert (root / "etc/pip.conf").read_bytes() == b""
    certificates = "etc/ssl/certs/ca-certificates.crt"
    assert (root / certificates).read_bytes() == file_of_base(image.base, certificates)
    assert set(image.env) == {"PATH", "LOG_DIR", "HTTP_HOST", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}


def test_its_description_is_what_platforms_go_by(image: Image) -> None:
    config = image.config
    labels, check = config["Labels"], config["Healthcheck"]
    assert isinstance(labels, dict)
    assert isinstance(check, dict)
    assert (image.user, image.entrypoint, image.command) == ((10001, 10001), ["llm-service"], ["run"])
    assert (config["StopSignal"], config["WorkingDir"]) == ("SIGTERM", "/app")
    assert config["ExposedPorts"] == {"8081/tcp": {}}
    assert not config["Volumes"], "each container without a mount would leave an anonymous volume behind"
    assert check["Test"] == ["CMD", "llm-service", "check", "--live"]
    assert labels["org.opencontainers.image.version"] == __version__


def test_what_it_runs_is_compiled_and_is_not_looked_at_again(image: Image) -> None:
    """Nothing can be written at a start on a read-only root: what is not compiled is compiled at each."""
    (package,) = image.root.glob("opt/venv/lib/python*/site-packages/llm_service")
    stale = []
    for source in package.rglob("*.py"):
        (compiled,) = (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")
        # PEP 552: the flags behind the magic number; 1 is "by content, unchecked".
        if int.from_bytes(compiled.read_bytes()[4:8], "little") != 1:
            stale.append(source)
    assert stale == []


def test_a_log_folder_that_may_be_written_is(image: Image, tmp_path: Path) -> None:
    starting, logs = _starting(image, tmp_path)
    with workers(starting):
        starting.start(wait=False)
        _until(lambda: "service_starting" in _text(logs / "system.log"))
        assert starting.terminate(10) == 0, starting.output()

    assert "log_folder_unwritable" not in starting.output()
    assert (logs / "system.log").stat().st_uid == 10001


def test_sigterm_is_heard_from_the_first_moment(image: Image, tmp_path: Path) -> None:
    """The kernel spares process 1 while it has no handler, and the one that drains comes a second later."""
    starting, logs = _starting(image, tmp_path)
    with workers(starting):
        starting.start(wait=False)
        _until((logs / "errors.log").exists)
        assert starting.terminate(10) in {0, ENDED_BY_SIGTERM}, starting.output()


def test_main_py_of_the_runbook_works_inside_and_its_exit_code_comes_out(image: Image) -> None:
    done = Container(image, {"KAFKA_MAX_POLL_INTERVAL_MS": "soon"}).run("main.py", entrypoint=["python"])
    assert done.returncode == CONFIG, done.stderr
    assert "KAFKA_MAX_POLL_INTERVAL_MS" in done.stderr


def test_the_env_file_of_the_service_before_is_understood_as_docker_passes_it(image: Image) -> None:
    container = Container(image, as_docker_passes_it(DEPLOYMENT))

    done = container.run("config", "--json", "--changed")

    assert done.returncode == 0, done.stderr
    values = {line["name"]: line["value"] for line in map(json.loads, done.stdout.splitlines())}
    assert values["LOG_DIR"] == LOGS
    assert values["HTTP_HOST"] == "0.0.0.0"
    assert "your_token_here" not in done.stdout


def test_the_jobs_of_compose_may_run_again(deployment: Deployment, worker: ContainerWorker) -> None:
    assert worker.running
    for job in ("topics", "bucket"):
        code, said = deployment.job(job)
        assert code == 0, said
    code, said = replace(deployment, env={**deployment.env, "MINIO_SECRET_KEY": "wrong-key"}).job("bucket")
    assert code == 1
    assert deployment.env["MINIO_BUCKET_NAME"] in said
    assert "Traceback" not in said


def test_its_health_check_tells_a_worker_that_lives(deployment: Deployment, worker: ContainerWorker) -> None:
    check = deployment.image.config["Healthcheck"]
    assert isinstance(check, dict)
    (how, *command) = check["Test"]

    here = worker.container.run(entrypoint=command)
    nowhere = deployment.container(HTTP_PORT="1").run(entrypoint=command)

    assert how == "CMD"
    assert (here.returncode, nowhere.returncode) == (0, CHECK_FAILED), here.stderr + nowhere.stderr


def test_documents_of_each_kind_become_answers(worker: ContainerWorker, tmp_path: Path) -> None:
    """By the command that the compose file's head shows; what was left out of the environment is missed by none."""
    (tmp_path / "table.xlsx").write_bytes(documents.xlsx([["Сумма", "Дата"], [100000, "12.05.2026"]]))
    (tmp_path / "slides.pptx").write_bytes(documents.pptx("Договор № 17"))
    for sample in ("letter_ru.docx", "contract_en.pdf", "envelope_ru.txt"):
        (tmp_path / sample).write_bytes((SAMPLES / sample).read_bytes())
    names = sorted(path.name for path in tmp_path.iterdir())
    # By whoever owns the files, whose folder the image's user may not enter.
    submitting = replace(worker.container, mounts={tmp_path: "/files"}, user=(os.getuid(), os.getgid()))

    files = [f"/files/{name}" for name in names]
    done = submitting.run("submit", *files, "--prompt-id", "1", "--watch", "--timeout", "40")

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(names) == 5
    ended = [line for line in map(json.loads, done.stdout.splitlines()) if line.get("status") == 3]
    assert len(ended) == 5
    assert "log_folder_unwritable" in worker.output(), "the mount is root's: a warning, and the worker works"


def test_all_is_well_says_check_from_inside(worker: ContainerWorker) -> None:
    done = worker.container.run("check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_conversion_process_that_dies_is_buried_and_replaced(
    worker: ContainerWorker, tmp_path: Path
) -> None:
    """Process 1 has no init above it that would reap what it forgets."""
    (child,) = worker.first.children()
    child.send_signal(signal.SIGKILL)
    (tmp_path / "letter.docx").write_bytes(documents.docx("Уважаемый Иван Иванович!"))

    submitting = replace(worker.container, mounts={tmp_path: "/files"}, user=(os.getuid(), os.getgid()))
    done = submitting.run("submit", "/files/letter.docx", "--prompt-id", "1", "--watch", "--timeout", "40")

    assert done.returncode == 0, done.stdout + done.stderr
    _until(lambda: not any(each.status() == psutil.STATUS_ZOMBIE for each in worker.first.children()))


def test_sigterm_ends_process_1_drained(worker: ContainerWorker) -> None:
    assert worker.terminate() == 0
    assert "service_stopping" in worker.output()
    assert "service_stopped" in worker.output()
    assert "Traceback" not in worker.output()


def _starting(image: Image, folder: Path) -> tuple[ContainerWorker, Path]:
    """A worker that finds no Kafka, and its log folder, which is its own user's."""
    logs = folder / "logs"
    logs.mkdir()
    os.chown(logs, *image.user)
    return ContainerWorker(Container(image, NOBODY_THERE, {logs: LOGS}), folder / "output.log"), logs


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.05)


def _split(volumes: object) -> list[tuple[str, str, str]]:
    assert isinstance(volumes, list | tuple)
    return [(source, target, mode) for source, target, mode in (volume.split(":") for volume in volumes)]
