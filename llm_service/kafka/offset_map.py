"""The offset map: which offsets above the committed one are finished, as text for the commit's metadata.

Layout, before base64: one version byte, the base offset as a varint, then run lengths as varints,
alternating unfinished and finished, the first (unfinished) starting at the base. A broker refuses the whole
commit when the metadata is longer than its ``offset.metadata.max.bytes`` (4,096 by default), so the text
is cut to a number of whole runs that fits: in at-least-once delivery any subset of what is finished is safe.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

VERSION = 1
METADATA_LIMIT = 4096
# base64 turns 3 bytes into 4 characters.
_RAW_LIMIT = METADATA_LIMIT // 4 * 3


class OffsetMapInvalid(ValueError):
    """The commit metadata is no offset map of this format, or belongs to another offset."""


@dataclass(frozen=True, slots=True)
class Run:
    """Offsets ``start`` up to, not including, ``end``."""

    start: int
    end: int


def encode(base: int, finished: Sequence[Run]) -> str:
    """The map of ``finished`` (ascending, apart from each other, none below ``base``); "" when there is none."""
    if not finished:
        return ""
    raw = bytearray([VERSION])
    raw += _varint(base)
    position = base
    for run in finished:
        step = _varint(run.start - position) + _varint(run.end - run.start)
        if len(raw) + len(step) > _RAW_LIMIT:
            break
        raw += step
        position = run.end
    return base64.b64encode(raw).decode("ascii")


def decode(metadata: str | None, committed: int) -> tuple[Run, ...]:
    """The finished runs above ``committed``; empty when the metadata is empty (an operator's reset, an older service).

    Raises OffsetMapInvalid when the text is something else, or names another base than ``committed``.
    """
    if not metadata:
        return ()
    try:
        numbers = _numbers(base64.b64decode(metadata, validate=True))
    except binascii.Error as error:
        raise OffsetMapInvalid("the commit metadata is not base64") from error
    if len(numbers) < 1 or numbers[0] != committed:
        raise OffsetMapInvalid(f"the offset map belongs to another offset than {committed}")
    if len(numbers) % 2 == 0:
        raise OffsetMapInvalid("the offset map ends inside a pair of runs")
    runs = []
    position = committed
    for skip, length in zip(numbers[1::2], numbers[2::2], strict=True):
        runs.append(Run(position + skip, position + skip + length))
        position += skip + length
    return tuple(runs)


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


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _numbers(raw: bytes) -> list[int]:
    if not raw or raw[0] != VERSION:
        raise OffsetMapInvalid("the commit metadata is no offset map of version 1")
    numbers = []
    number = shift = 0
    for byte in raw[1:]:
        number |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
        else:
            numbers.append(number)
            number = shift = 0
    if shift:
        raise OffsetMapInvalid("the offset map ends inside a number")
    return numbers
