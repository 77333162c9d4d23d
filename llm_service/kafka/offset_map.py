"""The offset map: which offsets above the committed one are finished, as text for the commit's metadata.

Version 3, before base64: a version byte, a byte of flags (1: its writer has left in order, 2: nothing that was finished
is missing), and as varints the base offset, the length of the writer's ``transactional.id`` and that id in UTF-8 (0: none,
or too long to be told), how far above the base messages may have been started, the number of suspects' ranges, each as
skip, length and count of unclean takeovers, and then run lengths, alternating unfinished and finished, the first
(unfinished) starting at the base. A broker refuses a partition's offset, and with it a whole transaction, when the metadata
is longer than its ``offset.metadata.max.bytes`` (4,096 by default).

At-least-once delivery cuts it to a number of whole runs that fits, since any subset of what is finished is safe there.
In exactly-once delivery it is never cut. Versions 1 (base and runs) and 2 (base, writer's id, runs) were written by earlier
versions of this service and are read; an earlier one refuses version 3, in exactly-once delivery by stopping the partition.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from llm_service.kafka.suspects import NOBODY, Suspect, Suspects

CUT_VERSION = 1
OWNED_VERSION = 2
VERSION = 3
# The broker's 4,096 less one: confluent-kafka sends a text with its terminating NUL, and the broker counts that too.
METADATA_LIMIT = 4095
# base64 turns 3 bytes into 4 characters.
_RAW_LIMIT = METADATA_LIMIT // 4 * 3
# A longer transactional.id is not told. Group names are 249 characters at most in practice, as topics are by rule.
OWNER_LIMIT = 300
# Some forty ranges of suspects: three bytes of skip, two of length and one of count. Those that do not fit are counted anew.
# Not 240, so that the runs may be as long as those that earlier versions wrote under a limit of one more byte.
_SUSPECTS_LIMIT = 237
# A varint of 63 bits.
_LONGEST_VARINT = 9
# What a whole map's runs may take: the rest is version, flags, base, the longest owner with its length, what may have been
# started, and the suspects with their number. One number for all writers, so that a map that one of them was allowed to
# write can be carried on by any other.
RUNS_LIMIT = _RAW_LIMIT - 2 - _LONGEST_VARINT - 2 - OWNER_LIMIT - _LONGEST_VARINT - 1 - _SUSPECTS_LIMIT
_CLEAN = 1
_WHOLE = 2


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
class Work:
    """What a writer says of the unfinished messages at and above the base."""

    clean: bool = True
    """Whether its writer has left in order, so that nothing of it was running any more."""
    limit: int = 0
    """Below this offset messages may have been started."""
    suspects: Suspects = NOBODY

    def taken_over(self, base: int) -> Suspects:
        """The counts as the next owner has them."""
        return self.suspects if self.clean else self.suspects.raised(base, max(base, self.limit))


@dataclass(frozen=True, slots=True)
class OffsetMap:
    """What a commit's metadata says."""

    runs: tuple[Run, ...] = ()
    owner: str | None = None
    """The ``transactional.id`` that it was written under."""
    whole: bool = True
    """Whether it holds all that was finished; False where it may have been cut, or have been written too late."""
    work: Work = field(default_factory=Work)


def encode(base: int, finished: Sequence[Run], work: Work = Work()) -> str:
    """The map of ``finished`` (ascending, apart from each other, none below ``base``), cut where it does not fit."""
    head = _middle(base, b"", work)
    raw = bytearray()
    position = base
    is_cut = False
    for run in finished:
        step = varint(run.start - position) + varint(run.end - run.start)
        if is_cut := 2 + len(head) + len(raw) + len(step) > _RAW_LIMIT:
            break
        raw += step
        position = run.end
    # An event may be there whose offset was not written any more, unless its writer has left in order.
    return _text(head + raw, clean=work.clean, whole=work.clean and not is_cut)


def encode_owned(base: int, finished: Sequence[Run], owner: str, work: Work = Work()) -> str:
    """The whole map with its writer's ``transactional.id``. Raises OffsetMapTooLong."""
    raw = bytearray()
    position = base
    for run in finished:
        raw += varint(run.start - position) + varint(run.end - run.start)
        position = run.end
    name = owner.encode()
    head = _middle(base, name if len(name) <= OWNER_LIMIT else b"", work)
    if 2 + len(head) + len(raw) > _RAW_LIMIT:
        # Inherited from a version that left less room: who wrote it, and what is suspect, may be forgotten.
        head = _middle(base, b"", Work(work.clean, work.limit))
    if 2 + len(head) + len(raw) > _RAW_LIMIT:
        raise OffsetMapTooLong(f"the map of {len(finished)} runs above {base} takes {len(raw)} bytes")
    return _text(head + raw, clean=work.clean, whole=True)


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
    if version == VERSION:
        return _read_present(raw, committed)
    if version not in (CUT_VERSION, OWNED_VERSION):
        raise OffsetMapInvalid("the commit metadata is no offset map of version 1, 2 or 3")
    rest = _based(raw[1:], committed)
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


def _middle(base: int, owner: bytes, work: Work) -> bytes:
    """All between the flags and the runs."""
    ranges = bytearray()
    count, position = 0, base
    for found in work.suspects.above(base).ranges:
        told = varint(found.start - position) + varint(found.end - found.start) + varint(found.takeovers)
        if len(ranges) + len(told) > _SUSPECTS_LIMIT:
            break
        ranges += told
        count, position = count + 1, found.end
    started = varint(max(0, work.limit - base))
    return bytes(varint(base) + varint(len(owner)) + owner + started + varint(count) + ranges)


def _text(rest: bytes, *, clean: bool, whole: bool) -> str:
    flags = _CLEAN * clean + _WHOLE * whole
    return base64.b64encode(bytes([VERSION, flags]) + rest).decode("ascii")


def _read_present(raw: bytes, committed: int) -> OffsetMap:
    flags, rest = raw[1] if len(raw) > 1 else 0, raw[2:]
    owner, rest = _owner(_based(rest, committed))
    started, rest = _number(rest)
    count, rest = _number(rest)
    ranges = []
    position = committed
    for _ in range(count):
        (skip, rest) = _number(rest)
        (length, rest) = _number(rest)
        (takeovers, rest) = _number(rest)
        ranges.append(Suspect(position + skip, position + skip + length, takeovers))
        position += skip + length
    work = Work(bool(flags & _CLEAN), committed + started, Suspects(tuple(ranges)))
    return OffsetMap(_runs(_numbers(rest), committed), owner, bool(flags & _WHOLE), work)


def _based(rest: bytes, committed: int) -> bytes:
    """What comes after the base, which must be ``committed``."""
    base, rest = _number(rest)
    if base != committed:
        raise OffsetMapInvalid(f"the offset map belongs to another offset than {committed}")
    return rest


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
