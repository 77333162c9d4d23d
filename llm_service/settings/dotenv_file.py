"""``.env``: a file of ``NAME=value`` lines beside the environment."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from llm_service.settings.layers import Layer, given
from llm_service.settings.problem import Problem

_NOTHING_TO_READ = "it must be a text file in UTF-8 that this user may read"


def dotenv_layer(path: Path | None) -> Layer:
    """The file's values; none when there is no file.

    ``$`` and ``${…}`` stay as they are: passwords hold them, and ``docker run --env-file`` expands
    nothing either. Of a name that stands there twice the last counts, as in Docker.
    """
    if path is None:
        return Layer(".env", {})
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return Layer(str(path), {})
    except IsADirectoryError:
        reason = "it is a folder; Docker makes one where the file that is to be mounted does not exist"
        return _unreadable(path, f"{reason}. Delete it and write the file, or name another by --env-file")
    except UnicodeDecodeError as error:
        return _unreadable(path, f"byte {error.start} is not UTF-8; {_NOTHING_TO_READ}")
    except OSError as error:
        return _unreadable(path, f"{error.strerror}; {_NOTHING_TO_READ}")
    bindings = list(parse_stream(io.StringIO(text)))
    return Layer(
        str(path),
        given({b.key: b.value for b in bindings if b.key is not None and b.value is not None}),
        problems=tuple(_not_understood(path, binding) for binding in bindings if binding.error),
        remarks=_twice(path, bindings),
    )


def _unreadable(path: Path, reason: str) -> Layer:
    return Layer(str(path), {}, problems=(Problem((), f"{path} can't be read: {reason}"),))


def _not_understood(path: Path, binding: Binding) -> Problem:
    # Without the line's text: it may be half of a secret.
    return Problem((), f"{path} can't be understood at line {binding.original.line}: NAME=value is expected")


def _twice(path: Path, bindings: Sequence[Binding]) -> tuple[str, ...]:
    values: dict[str, set[str]] = {}
    for binding in bindings:
        if binding.key is not None and binding.value:
            values.setdefault(binding.key, set()).add(binding.value)
    return tuple(
        f"{name} stands in {path} more than once with different values: the last one counts."
        for name, different in values.items()
        if len(different) > 1
    )
