"""The offset map: which offsets above the committed one are finished, as text for the commit's metadata.

Layout, before base64: one version byte, the base offset as a varint, then run lengths as varints,
alternating unfinished and finished, the first (unfinished) starting at the base. A broker refuses the whole
commit when the metadata is longer than its ``offset.metadata.max.bytes`` (4,096 by default).

Version 1 is written in at-least-once delivery: the text is cut to a number of whole runs that fits, since any
subset of what is finished is safe there, and it is empty when nothing is finished above the base.

Version 2 is written in exactly-once delivery: between the base and the runs stand the length of the writer's
``transactional.id`` as a varint and that id in UTF-8 (length 0: it was too long to be told), so that who takes the
partition over can end the transaction that a dead writer left open. It is never cut and never empty.

Either mode reads both versions, so a new version of the format is the only step of an upgrade that has to be
made by all workers at once: an older one refuses it, in exactly-once delivery by stopping the partition.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

VERSION = 1
OWNED_VERSION = 2
METADATA_LIMIT = 4096
# base64 turns 3 bytes into 4 characters.
_RAW_LIMIT = METADATA_LIMIT // 4 * 3
# A longer transactional.id is not told. Group names are 249 characters at most in practice, as topics are by rule.
OWNER_LIMIT = 300
# A varint of 63 bits.
_LONGEST_VARINT = 9
# What a whole map's runs may take: the rest is the version byte, the base, and the longest owner with its length. One
# number for all writers, so that a map that one of them was allowed to write can be carried on by any other.
RUNS_LIMIT = _RAW_LIMIT - 1 - _LONGEST_VARINT - 2 - OWNER_LIMIT


class OffsetMapInvalid(ValueError):
    """The commit metadata is no offset map of this format, or belongs to another offset."""


class OffsetMapTooLong(ValueError):
    """The map does not fit the commit metadata whole."""


@dataclass(frozen=True, slots=True)
class Run:
    """Offsets ``start`` up to, not including, ``end``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class OffsetMap:
    """What a commit's metadata says."""

    runs: tuple[Run, ...] = ()
    owner: str | None = None
    """The ``transactional.id`` that it was written under."""
    whole: bool = True
    """Whether it holds all that was finished; False where it may have been cut."""


def encode(base: int, finished: Sequence[Run]) -> str:
    """The map of ``finished`` (ascending, apart from each other, none below ``base``); "" when there is none."""
    if not finished:
        return ""
    raw = bytearray([VERSION])
    raw += varint(base)
    position = base
    for run in finished:
        step = varint(run.start - position) + varint(run.end - run.start)
        if len(raw) + len(step) > _RAW_LIMIT:
            break
        raw += step
        position = run.end
    return base64.b64encode(raw).decode("ascii")


def encode_owned(base: int, finished: Sequence[Run], owner: str) -> str:
    """The whole map with its writer's ``transactional.id``. Raises OffsetMapTooLong."""
    name = owner.encode()
    if len(name) > OWNER_LIMIT:
        name = b""
    raw = bytearray([OWNED_VERSION])
    raw += varint(base) + varint(len(name)) + name
    position = base
    for run in finished:
        raw += varint(run.start - position) + varint(run.end - run.start)
        position = run.end
    if len(raw) > _RAW_LIMIT:
        raise OffsetMapTooLong(f"the map of {len(finished)} runs above {base} takes {len(raw)} bytes")
    return base64.b64encode(raw).decode("ascii")


def decode(metadata: str | None, committed: int) -> tuple[Run, ...]:
    """The finished runs above ``committed``; raises as ``read`` does."""
    return read(metadata, committed).runs


def read(metadata: str | None, committed: int) -> OffsetMap:
    """What the metadata says; nothing when it is empty (an operator's reset, an older service).

    Raises OffsetMapInvalid when the text is something else, or names another base than ``committed``.
    """
    if not metadata:
        return OffsetMap()
    try:
        raw = base64.b64decode(metadata, validate=True)
    except ValueError as error:  # binascii.Error is one, and what is no ASCII at all is a bare one
        raise OffsetMapInvalid("the commit metadata is not base64") from error
    version = raw[0] if raw else None
    if version not in (VERSION, OWNED_VERSION):
        raise OffsetMapInvalid("the commit metadata is no offset map of version 1 or 2")
    base, rest = _number(raw[1:])
    if base != committed:
        raise OffsetMapInvalid(f"the offset map belongs to another offset than {committed}")
    owner, rest = _owner(rest) if version == OWNED_VERSION else (None, rest)
    # A map of version 1 that was cut ends less than a pair of the longest numbers before the limit.
    whole = version == OWNED_VERSION or len(raw) <= _RAW_LIMIT - 2 * _LONGEST_VARINT
    return OffsetMap(_runs(_numbers(rest), committed), owner, whole)


def finished_runs(base: int, end: int, unfinished: Iterable[int]) -> list[Run]:
    """The runs of [base, end) between the ``unfinished`` offsets.

    An offset that was never delivered (compaction, a transaction's marker) lies in a finished run: it
    will never come, and to call it finished makes the map shorter.
    """
    runs = []
    position = base
    for offset in sorted(unfinished):
        if offset > position:
            runs.append(Run(position, offset))
        position = offset + 1
    if end > position:
        runs.append(Run(position, end))
    return runs


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the highest bit says that more follow."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _owner(rest: bytes) -> tuple[str | None, bytes]:
    length, rest = _number(rest)
    if length > len(rest):
        raise OffsetMapInvalid("the offset map ends inside its writer's id")
    try:
        return rest[:length].decode() or None, rest[length:]
    except UnicodeDecodeError as error:
        raise OffsetMapInvalid("the offset map's writer is no text") from error


def _runs(numbers: Sequence[int], base: int) -> tuple[Run, ...]:
    if len(numbers) % 2:
        raise OffsetMapInvalid("the offset map ends inside a pair of runs")
    runs = []
    position = base
    for skip, length in zip(numbers[::2], numbers[1::2], strict=True):
        runs.append(Run(position + skip, position + skip + length))
        position += skip + length
    return tuple(runs)


def _numbers(raw: bytes) -> list[int]:
    numbers = []
    while raw:
        number, raw = _number(raw)
        numbers.append(number)
    return numbers


def _number(raw: bytes) -> tuple[int, bytes]:
    number = 0
    for index, byte in enumerate(raw):
        number |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return number, raw[index + 1 :]
    raise OffsetMapInvalid("the offset map ends inside a number")
