"""Values that are the content of a file: ``NAME_FILE``, and a folder of files named as the settings."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from llm_service.settings.layers import ENVIRONMENT, Layer, given
from llm_service.settings.problem import Problem

SUFFIX = "_FILE"
USUAL_FOLDER = Path("/run/secrets")
"""Where Docker and Podman put a container's secrets."""

_LONGEST_BYTES = 1024 * 1024
"""The largest secret Kubernetes takes; what is larger is not a setting, or has no end, as /dev/zero."""


class UnreadableFile(Exception):
    """The content of a file can't be had; the text says why."""


def with_files(layer: Layer, names: Iterable[str]) -> Layer:
    """The layer with the content of the file that each ``NAME_FILE`` of it names, as the value of ``NAME``.

    What can't be read is a problem of the layer, and so is a name that is given both ways in one place.
    """
    values, files = dict(layer.values), dict(layer.files)
    problems = list(layer.problems)
    for name in names:
        path = layer.values.get(name + SUFFIX)
        if path is None:
            continue
        if name in layer.values:
            where = "the environment" if layer.origin == ENVIRONMENT else layer.origin
            problems.append(
                Problem((name,), f"{name}{SUFFIX} gives it too, both in {where}: take one of them out")
            )
            continue
        try:
            values[name] = _content(Path(path))
        except UnreadableFile as error:
            problems.append(
                Problem((name,), f"{name}{SUFFIX} names {_shown(path)}, which can't be used: {error}")
            )
        else:
            files[name] = path
    return replace(layer, values=values, files=files, problems=tuple(problems))


def _shown(path: str) -> str:
    """The path, unless it may be the secret itself, put where its file's name belongs."""
    return path if path.startswith(("/", "./", "../")) else "something that does not begin with / or ./"


def folder_layer(folder: Path | None, names: Collection[str], families: tuple[str, ...] = ()) -> Layer:
    """The files of the folder that are named as a setting or begin as one of the families, in any case.

    ``None`` is the usual folder, which need not exist. A file that is empty gives no value. Names that begin with a
    dot and folders are left alone: Kubernetes and Docker keep things of their own there.
    """
    place = folder or USUAL_FOLDER
    layer = Layer(f"folder {place}", {})
    try:
        found = sorted(
            path for path in place.iterdir() if not path.name.startswith(".") and not path.is_dir()
        )
    except OSError as error:
        if folder is None:
            return layer
        reason = f"SECRETS_DIR: {folder} can't be read as a folder: {error.strerror}"
        return replace(layer, problems=(Problem((), reason),))
    by_name = {path.name.upper(): path for path in found}
    ours = {name: path for name, path in by_name.items() if name in names or name.startswith(families)}
    # The usual folder is shared with whatever else runs in the container; one that was named is meant for us.
    others = tuple(path.name for name, path in by_name.items() if name not in ours) if folder else ()
    return replace(_read(layer, ours), unknown=others)


def _read(layer: Layer, by_name: Mapping[str, Path]) -> Layer:
    values: dict[str, str] = {}
    problems: list[Problem] = []
    for name, path in by_name.items():
        try:
            values[name] = _content(path, may_be_empty=True)
        except UnreadableFile as error:
            problems.append(Problem((name,), f"its file {path} can't be used: {error}"))
    files = {name: str(by_name[name]) for name in values}
    return replace(layer, values=given(values), files=files, problems=tuple(problems))


def _content(path: Path, *, may_be_empty: bool = False) -> str:
    """The text of the file as it is, quotes and # included, without the spaces and line ends around it."""
    try:
        # A pipe or a device would be waited for without end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableFile("it is not a file")
        with path.open("rb") as file:
            content = file.read(_LONGEST_BYTES + 1)
    except OSError as error:
        raise UnreadableFile(error.strerror or type(error).__name__) from error
    except ValueError as error:
        raise UnreadableFile("that is no path") from error
    if len(content) > _LONGEST_BYTES:
        raise UnreadableFile(f"it is larger than {_LONGEST_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"byte {error.start} is not UTF-8") from error
    if not text and not may_be_empty:
        raise UnreadableFile("it is empty")
    return text
