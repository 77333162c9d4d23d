"""The offset map: what is written is read back; what is read of others' hands claims nothing below its base."""

from __future__ import annotations

import base64

from llm_service.kafka import offset_map
from llm_service.kafka.offset_map import METADATA_LIMIT, OffsetMapInvalid, OffsetMapTooLong, Run
from scripts.fuzzing.target import Target

_BASE = 1_000
_SEEDS = (
    b"\x00" + offset_map.encode(_BASE, [Run(1_002, 1_005), Run(1_010, 1_011)]).encode(),
    b"\x00" + offset_map.encode_owned(_BASE, [Run(1_002, 1_005)], "group-1").encode(),
    b"\x01" + base64.b64decode(offset_map.encode(_BASE, [Run(1_002, 1_005), Run(2_000, 9_000)])),
    b"\x01" + base64.b64decode(offset_map.encode_owned(_BASE, [Run(1_002, 1_005)], "group-1")),
    b"\x02" + bytes(range(1, 60)),
)
_TOKENS = ("AQ==", "Ag==", "=", "\n")


def check(data: bytes) -> None:
    """Raises AssertionError where a promise does not hold, and whatever else the parser lets out."""
    kind, rest = data[:1], data[1:]
    if kind == b"\x02":
        _check_written(rest)
    else:
        _check_read(rest.decode("latin-1") if kind == b"\x00" else base64.b64encode(rest).decode())


def _check_read(text: str) -> None:
    try:
        runs = offset_map.read(text, _BASE).runs
    except OffsetMapInvalid:
        return
    position = _BASE
    for run in runs:
        assert position <= run.start <= run.end, "a run below the committed offset, or out of order"
        position = run.end


def _check_written(data: bytes) -> None:
    """Each pair of bytes is a gap and a run, of 1 to 256 offsets each."""
    runs: list[Run] = []
    position = _BASE
    for gap, length in zip(data[::2], data[1::2], strict=False):
        runs.append(Run(position + gap + 1, position + gap + length + 2))
        position = runs[-1].end
    text = offset_map.encode(_BASE, runs)
    assert len(text) <= METADATA_LIMIT, "a commit that the broker refuses whole"
    found = offset_map.read(text, _BASE).runs
    assert list(found) == runs[: len(found)], "a map that claims what was not written"
    try:
        whole = offset_map.encode_owned(_BASE, runs, "group-\u0434-1")
    except OffsetMapTooLong:
        return
    assert len(whole) <= METADATA_LIMIT, "a commit that the broker refuses whole"
    assert list(offset_map.read(whole, _BASE).runs) == runs, "a whole map that is not whole"


TARGET = Target(check, _SEEDS, _TOKENS)
