"""Ollama without Docker: its server built from source by Go and a C++ compiler."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.cache import Cache
from tests.services.commands import install_debian, run
from tests.services.ollama import VERSION, Ollama
from tests.services.ports import free_port
from tests.services.process import OwnProcess
from tests.services.reaper import Reaper
from tests.services.runtime import Unavailable
from tests.services.toolchains import compiler, go, go_install
from tests.services.wishes import Wishes

_MODULE = f"github.com/ollama/ollama@v{VERSION}"
_OLDEST_GO = (1, 26)
# The source distribution of a Python binding is where a package registry has the header.
_MINIAUDIO = "miniaudio==1.61"
_SYSTEM_HEADERS = Path("/usr/include")


def prepare(cache: Cache) -> Path:
    """The server's binary. Raises Unavailable."""
    return cache.get("ollama", f"{_MODULE} {_MINIAUDIO}", lambda draft: _build(cache, draft)) / "ollama"


def start(cache: Cache, reaper: Reaper, folder: Path) -> Ollama:
    """A server on a free port with its models in the folder. Raises Unavailable."""
    ollama = _server(cache, reaper, folder, {})
    ollama.start()
    ollama.create_model()
    return ollama


@contextmanager
def without_models(folder: Path, authority: Path) -> Iterator[Ollama]:
    """A server of the test's own that has no model and trusts that authority alone. Raises Unavailable."""
    reaper = Reaper()
    # Go's own variable: https://pkg.go.dev/crypto/x509#SystemCertPool
    trusted = {"SSL_CERT_FILE": str(authority), "SSL_CERT_DIR": str(folder / "none")}
    ollama = _server(Cache(Wishes.read().cache, lambda _: None), reaper, folder, trusted)
    try:
        ollama.start()
        yield ollama
    finally:
        ollama.stop()
        reaper.close()


def _server(cache: Cache, reaper: Reaper, folder: Path, more: dict[str, str]) -> Ollama:
    binary, port = prepare(cache), free_port()
    env = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(folder),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(folder / "models"),
        **more,
    }
    process = OwnProcess([str(binary), "serve"], folder, reaper, env)
    return Ollama(f"http://127.0.0.1:{port}", process, f"Ollama {VERSION}, own process, random-weight model")


def _build(cache: Cache, draft: Path) -> None:
    """``go install``, with the headers that Ollama's module archive leaves out."""
    go_path = go(cache, _OLDEST_GO)
    compiler()
    headers = draft / "include"
    _debian_headers(headers)
    _miniaudio_header(draft, headers)
    go_install(
        go_path,
        _MODULE,
        draft,
        {"CGO_CPPFLAGS": f"-I{headers}"},
        f"-X=github.com/ollama/ollama/version.Version={VERSION}",
    )
    shutil.rmtree(headers)


def _debian_headers(headers: Path) -> None:
    wanted = {"nlohmann/json.hpp": "nlohmann-json3-dev", "stb/stb_image.h": "libstb-dev"}
    missing = [package for header, package in wanted.items() if not (_SYSTEM_HEADERS / header).exists()]
    if missing:
        install_debian(*missing)
    shutil.copytree(_SYSTEM_HEADERS / "stb", headers / "stb")


def _miniaudio_header(draft: Path, headers: Path) -> None:
    sources = draft / "sources"
    download = ["download", "-q", "--no-deps", "--no-binary", "miniaudio", "-d", str(sources), _MINIAUDIO]
    run([sys.executable, "-m", "pip", *download])
    (headers / "miniaudio").mkdir(parents=True)
    with tarfile.open(next(sources.glob("*.tar.gz"))) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name.endswith("/miniaudio.h") else None
            if content is not None:
                (headers / "miniaudio" / "miniaudio.h").write_bytes(content.read())
                break
        else:
            raise Unavailable(f"{_MINIAUDIO} holds no miniaudio.h")
    shutil.rmtree(sources)
