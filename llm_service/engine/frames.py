"""What crosses between the service and the engine's process, on one stream socket.

A frame is four bytes of length, big-endian, and that many bytes of JSON: ``{"kind": ..., its fields}``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from struct import Struct
from typing import Any, TypeAlias

from llm_service.engine.order import Ended, Ending, GrammarCost, Piece, Refusal, Refused
from llm_service.engine.sampling import Sampling

LENGTH = Struct(">I")
# A prompt of a million tokens has some 4 MB; in JSON, escaped, at most six times that.
MAX_COMMAND_BYTES = 32 * 1024 * 1024
# The longest is a vector of 16,384 numbers, at most 25 characters each.
MAX_REPORT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Setup:
    """What the process is told when it is started."""

    path: str
    context_tokens: int
    sequences: int
    batch_tokens: int
    threads: int
    gpu_layers: int
    cache_type: str
    max_tokens: int
    """Of an answer whose command does not say."""
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Generate:
    """Write an answer."""

    name: str
    messages: tuple[tuple[str, str], ...]
    """Role and content of each turn."""
    max_tokens: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stops: tuple[str, ...] = ()
    schema: str | None = None
    """JSON Schema, as JSON."""
    grammar: str | None = None
    priority: float = 0.0
    deadline_s: float | None = None
    """From now."""
    schema_words: str = ""
    """The schema put into words, for where no grammar can be made of it."""


@dataclass(frozen=True, slots=True)
class Embed:
    """Make a vector of each text."""

    name: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """Count the tokens of each text."""

    name: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody wants what was ordered under the name any more."""

    name: str


@dataclass(frozen=True, slots=True)
class Hello:
    """The model is loaded."""

    context_tokens: int
    has_template: bool


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The model could not be loaded; the process ends."""

    message: str


@dataclass(frozen=True, slots=True)
class Beat:
    """The process goes on: it loads, or has made a step, or waits for work."""

    running: int = 0
    waiting: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Vector:
    """The vector of one text; they come in the texts' order."""

    name: str
    vector: tuple[float, ...]
    tokens: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """Tokens of each text."""

    name: str
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unenforced:
    """What of a schema the grammar does not hold the answer to: keyword and place. It comes before the answer."""

    name: str
    findings: tuple[str, ...]


Command: TypeAlias = Generate | Embed | Count | Cancel
Report: TypeAlias = Hello | LoadFailed | Beat | Piece | Ended | Refused | Vector | Counted | Unenforced

_COMMANDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Generate, Embed, Count, Cancel)}
_REPORTS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (Hello, LoadFailed, Beat, Piece, Ended, Refused, Vector, Counted, Unenforced)
}
_NESTED: dict[str, type[Any]] = {
    "sampling": Sampling,
    "grammar_cost": GrammarCost,
    "ending": Ending,
    "refusal": Refusal,
}


class FrameError(ValueError):
    """What came is no frame of this protocol."""


def pack(frame: Command | Report) -> bytes:
    body = json.dumps({"kind": type(frame).__name__, **asdict(frame)}, ensure_ascii=True).encode()
    return LENGTH.pack(len(body)) + body


def pack_setup(setup: Setup) -> str:
    return json.dumps(asdict(setup))


def unpack_setup(text: str) -> Setup:
    return Setup(**json.loads(text))


def unpack_command(body: bytes) -> Command:
    """Raises FrameError."""
    found: Command = _unpack(body, _COMMANDS)
    return found


def unpack_report(body: bytes) -> Report:
    """Raises FrameError."""
    found: Report = _unpack(body, _REPORTS)
    return found


def _unpack(body: bytes, kinds: dict[str, type[Any]]) -> Any:
    try:
        found = json.loads(body)
        kind = kinds[found.pop("kind")]
        known = {each.name for each in fields(kind)}
        return kind(**{name: _value(name, value) for name, value in found.items() if name in known})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FrameError(f"a frame that can't be read: {type(error).__name__}") from error


def _value(name: str, value: Any) -> Any:
    if name in _NESTED:
        kind = _NESTED[name]
        return kind(**value) if isinstance(value, dict) else kind(value)
    if isinstance(value, list):
        return tuple(tuple(each) if isinstance(each, list) else each for each in value)
    return value
