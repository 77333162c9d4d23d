"""The picture of the demonstration: what is drawn is what a terminal was sent, and nothing of the machine it was made on."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from llm_service.samples import SAMPLES
from scripts.recording.drawing import draw
from scripts.recording.storyboard import Story, tell
from scripts.recording.terminal import Moment, record, replay

ROOT = Path(__file__).resolve().parents[3]
PICTURE = ROOT / "docs" / "pictures" / "demo.svg"
SVG = "{http://www.w3.org/2000/svg}"


def _texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_the_picture_shows_what_the_demonstration_prints() -> None:
    shown = " ".join(_texts(PICTURE.read_text("utf-8")))
    for word in ("./scripts/demo", "It is no LLM", "PENDING", "PROCESSING", "SUCCESS", "5 succeeded"):
        assert word in shown
    for sample in SAMPLES:
        assert sample.path.name in shown


def test_the_picture_is_small_stands_alone_and_tells_nothing_of_its_machine() -> None:
    text = PICTURE.read_text("utf-8")
    assert len(text.encode()) < 200_000
    own = {str(ROOT), str(Path.home()), "/home/", "/root/", "/work/", "/Users/"}
    assert [word for word in own if word in text] == []
    assert set(re.findall(r'(?:href|src)="(.)', text)) == {"#"}
    assert "url(" not in text
    assert "<script" not in text


def test_every_line_that_is_used_is_drawn() -> None:
    tree = ET.parse(PICTURE)
    drawn = {f"#{group.get('id')}" for group in tree.iter(f"{SVG}g")}
    used = [use.get("href") for use in tree.iter(f"{SVG}use")]
    assert used
    assert set(used) <= drawn


def test_what_a_terminal_was_sent_becomes_its_screen() -> None:
    sent = [
        (0.0, b"\x1b[2mfaint\x1b[0m and \x1b[1;32mgreen\x1b[0m\r\nsecond\r\n"),
        (0.5, "\x1b[1A\x1b[2K\x1b[33mдва  три\x1b[0m\r\n".encode()),
    ]
    first, second = replay(sent, columns=30, height=10)
    assert first.text == "faint and green\nsecond"
    (faint, plain, green) = first.lines[0]
    assert (faint.dim, plain.dim, green.dim) == (True, False, False)
    assert (green.column, green.color, green.bold) == (10, "green", True)
    assert [(run.column, run.text, run.color) for run in second.lines[1]] == [
        (0, "два", "brown"),
        (5, "три", "brown"),
    ]


def test_colours_of_a_palette_keep_their_numbers() -> None:
    (moment,) = replay([(0.0, b"\x1b[38;5;2mx\x1b[0m")], columns=5, height=1)
    ((run,),) = moment.lines
    assert not run.dim


def test_a_program_is_recorded_on_a_terminal_of_its_size() -> None:
    code = "import os, sys; print(sys.stdout.isatty(), *os.get_terminal_size())"
    pieces = record([sys.executable, "-c", code], ROOT, {"PATH": ""}, columns=61, rows=7, limit_s=20)
    assert b"".join(piece for _, piece in pieces) == b"True 61 7\r\n"


def test_a_program_that_fails_makes_no_picture() -> None:
    with pytest.raises(RuntimeError, match="no bucket"):
        record(
            [sys.executable, "-c", "raise SystemExit('no bucket')"],
            ROOT,
            {"PATH": ""},
            columns=60,
            rows=9,
            limit_s=20,
        )


def _story() -> Story:
    table = "a  ⠋\r\n"
    answers = "╭ a ╮\r\n" + "│ 1 < 2 & 3 │\r\n" * 6 + "╭ b ╮\r\n" + "│ yes │\r\n" * 8
    sent = [
        (0.0, "$ go\r\n"),
        (1.0, table),
        (1.1, "\x1b[1Aa  ⠙\r\n"),
        (1.4, "\x1b[1Aa ok\r\n"),
        (1.5, answers),
    ]
    return tell(replay([(at, text.encode()) for at, text in sent], columns=20, height=40), rows=6)


def test_each_state_is_one_shot_and_each_answer_one_stop() -> None:
    story = _story()
    assert [shot.moment.text for shot in story.shots] == ["$ go", "$ go\na  ⠋", "$ go\na ok"]
    assert [stop.line for stop in story.stops] == [0, 9, 12]
    assert len(story.end.lines) == 18


def test_a_picture_escapes_its_text_and_draws_boxes_as_lines() -> None:
    svg = draw(_story(), columns=20, rows=6, title="a < b")
    assert "1 < 2 & 3" in _texts(svg)
    assert not set("".join(_texts(svg))) & set("╭╮│")
    tree = ET.fromstring(svg)
    assert tree.findtext(f"{SVG}title") == "a < b"
    paths = [path.get("d") or "" for path in tree.iter(f"{SVG}path")]
    assert any("Q" in path for path in paths), "corners are round"


def test_an_empty_screen_is_no_line() -> None:
    assert replay([(0.0, b"\r\n")], columns=5, height=3) == [Moment(0.0, ())]
