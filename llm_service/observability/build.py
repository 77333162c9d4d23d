"""What is running: versions, and the commit where it is known."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import llm_service

COMMIT_FILE = "COMMIT"
"""Beside the package's modules, written by who builds an image: the work tree is not there to be asked."""

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Build:
    """The labels of ``llm_service_build_info``."""

    version: str
    python: str
    librdkafka: str
    commit: str


def this_build(librdkafka: str) -> Build:
    """The build that runs; ``librdkafka`` is the version its library tells."""
    return Build(llm_service.__version__, platform.python_version(), librdkafka, _commit())


def _commit() -> str:
    written = Path(llm_service.__file__).parent / COMMIT_FILE
    try:
        return written.read_text("utf-8").strip()[:40] or UNKNOWN
    except OSError:
        return _installed_from() or UNKNOWN


def _installed_from() -> str | None:
    """What pip notes of a package that it got from a repository (PEP 610)."""
    try:
        noted = metadata.distribution("llm-service").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    origin = json.loads(noted).get("vcs_info", {}) if noted else {}
    return str(origin["commit_id"]) if "commit_id" in origin else None
