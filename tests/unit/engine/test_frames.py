"""What crosses between the service and the engine's process comes out as it went in."""

from __future__ import annotations

import pytest

from llm_service.engine import frames
from llm_service.engine.frames import (
    Beat,
    Cancel,
    Command,
    Count,
    Counted,
    Embed,
    Generate,
    Hello,
    Report,
    Vector,
)
from llm_service.engine.order import Ended, Ending, GrammarCost, Piece, Refusal, Refused
from llm_service.engine.sampling import Sampling

COMMANDS: list[Command] = [
    Generate(
        "a",
        (("system", "\ud800 да"), ("user", "x" * 100_000)),
        5,
        Sampling(0.0, logit_bias={"3": -1.5}),
        ("s",),
    ),
    Embed("b", ("one", "два")),
    Count("c", ("",)),
    Cancel("d"),
]
REPORTS: list[Report] = [
    Hello(4096, has_template=True),
    Beat(1, 2, 3),
    Piece("a", "€"),
    Ended("a", Ending.LENGTH, "", 1, 2, 0, 0.5, 0.25, GrammarCost(1, 2, 0.5, 0.25)),
    Refused("a", Refusal.GRAMMAR, "no"),
    Vector("b", (0.5, -1.0), 3, is_last=True),
    Counted("c", (1, 2)),
    frames.Unenforced("a", ("maxLength at #: why",)),
    frames.LoadFailed("no"),
]


ODD_REFUSAL = b'{"kind": "Refused", "name": "a", "refusal": "odd", "message": ""}'


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_comes_out_as_it_went_in(command: Command) -> None:
    packed = frames.pack(command)
    assert frames.LENGTH.unpack(packed[:4]) == (len(packed) - 4,)
    assert frames.unpack_command(packed[4:]) == command


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_comes_out_as_it_went_in(report: Report) -> None:
    assert frames.unpack_report(frames.pack(report)[4:]) == report


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"kind": "Generate"}', b'{"kind": "Setup"}', b"\xff", ODD_REFUSAL],
)
def test_what_is_no_frame_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(frames.FrameError):
        frames.unpack_report(body) if body == ODD_REFUSAL else frames.unpack_command(body)
