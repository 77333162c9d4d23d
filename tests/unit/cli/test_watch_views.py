from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from llm_service.cli.watching.answer_shown import SHOWN_ANSWER_CHARS, answer_lines, excerpt
from llm_service.cli.watching.arrival import Arrival
from llm_service.cli.watching.fates import Fates
from llm_service.cli.watching.json_lines import JsonLines
from llm_service.cli.watching.plain_lines import PlainLines
from llm_service.cli.watching.table import StatusTable
from llm_service.contract.status import Status
from tests.manual_clock import ManualClock

HOSTILE = "red \x1b[31m [bold]markup[/bold] \x1b]0;gone\x07 \x9b2J turned \u202e end\r\n"
ID = "9b9b92e5-7dbd-4eea-b26b-d05f8d87fd3a"


def _success(result: object, task_id: str = ID, written_at: float = 2.0) -> Arrival:
    return Arrival(task_id, Status.SUCCESS, {"result": json.dumps(result)}, 0, written_at)


def _table(height: int, width: int = 120) -> tuple[StatusTable, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, height=height, highlight=False)
    return StatusTable(console, Console(file=io.StringIO()), ManualClock(), {}), out


def test_json_lines_hold_the_status_as_it_came(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+") as out:
        lines = JsonLines(out, io.StringIO())
        lines.arrived(Arrival(ID, Status.FAILED, {"error_message": HOSTILE}, 0, 1.0, "t", "w", "then", 3, 4))
        lines.arrived(Arrival("\ufffd", Status.PROCESSING, None, 0))
        lines.pulse()
        out.seek(0)
        first, second = out.read().splitlines()
    assert json.loads(first) == {
        "task_id": ID,
        "status": 4,
        "name": "FAILED",
        "trace_id": "t",
        "worker_id": "w",
        "timestamp": "then",
        "body": {"error_message": HOSTILE},
        "partition": 3,
        "offset": 4,
    }
    assert first.isprintable()
    assert json.loads(second)["body"] is None


def test_a_pipe_that_nobody_reads_ends_it_also_when_nothing_is_written() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as out:
        lines = JsonLines(out, io.StringIO())
        lines.pulse()
        os.close(reading)
        with pytest.raises(BrokenPipeError):
            lines.pulse()


def test_the_table_stays_within_the_screen_and_has_the_newest_at_its_bottom() -> None:
    table, out = _table(height=20)
    for number in range(1000):
        table.arrived(_success("x", f"task-{number:04}"))
    table.arrived(Arrival("task-0998", Status.FAILED, {"error_message": "late"}, 0))
    table.close()
    shown = out.getvalue().rpartition("Says")[2]
    assert shown.count("task-") <= 15
    assert shown.rindex("task-0998") > shown.rindex("task-0999") > shown.rindex("task-0997")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_nothing_of_a_status_steers_the_terminal(width: int) -> None:
    table, out = _table(40, width)
    table.arrived(Arrival(HOSTILE, Status.PROCESSING, {"provider": HOSTILE, "model": HOSTILE}, 0))
    table.arrived(Arrival(HOSTILE, Status.FAILED, {"error_message": HOSTILE, "error": {"code": HOSTILE}}, 0))
    table.arrived(Arrival("text", Status.SUCCESS, HOSTILE, 0))
    fates = Fates([HOSTILE, ID])
    fates.place(Arrival(HOSTILE, Status.FAILED, {"error_message": HOSTILE}, 0))
    fates.place(_success({HOSTILE: [HOSTILE]}))
    table.ended(fates)
    shown = out.getvalue()
    assert not {"\x07", "\x9b", "\u202e"} & set(shown)
    assert "\x1b[31m [" not in shown
    assert "\x1b]0;" not in shown
    assert "markup" in shown


def test_plain_lines_tell_each_status_and_then_the_answers() -> None:
    out = io.StringIO()
    lines = PlainLines(out, io.StringIO(), {ID: "Договор.pdf"})
    arrival = _success({"Дата": "2026", "Ключи": ["a", "b"]})
    fates = Fates([ID])
    fates.place(arrival)
    lines.arrived(arrival)
    lines.ended(fates)
    assert out.getvalue().splitlines() == [
        f"3 SUCCESS     {ID}  Дата: 2026; Ключи: a; b",
        "",
        "Договор.pdf",
        "  Дата: 2026",
        "  Ключи: a; b",
    ]


def test_an_answer_of_megabytes_is_bounded_on_a_terminal() -> None:
    body = {"result": json.dumps({f"k{n}": "v" * 1000 for n in range(5000)})}
    shown = answer_lines(Status.SUCCESS, body)
    assert sum(map(len, shown)) < 3 * SHOWN_ANSWER_CHARS
    assert "fields more; --json shows all" in shown[-1]
    assert len(excerpt(Status.SUCCESS, {"result": "x" * 5_000_000})) <= 300


@pytest.mark.parametrize(
    "result", ["[" * 100_000, '{"a": NaN}', "\ud800", 5, None, [[]], {"a": {"b": HOSTILE}}]
)
def test_an_odd_result_is_shown_all_the_same(result: object) -> None:
    assert all(line.isprintable() for line in answer_lines(Status.SUCCESS, {"result": result}))
    assert excerpt(Status.SUCCESS, {"result": result}).isprintable()
