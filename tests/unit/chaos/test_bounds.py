"""I7 and I13: what a crash, a revoke and an outage may cost, derived from the recording itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_service.contract.status import Status
from tests.chaos.checker.book import Book
from tests.chaos.checker.judging import judge
from tests.chaos.recording import Fault, Life
from tests.unit.chaos.synthetic import BEGAN, WORKER, Recording, event, healthy

# Two a second from the last of the twelve on: beyond whatever the recording's own tasks do.
CALM = BEGAN + 30.0
OTHER = "LLM_w2.1"


def finding(recording: Recording, folder: Path, name: str) -> dict[str, Any]:
    return next(one for one in judge(Book(recording.write(folder))) if one.name == name).plain()


def begun_again(recording: Recording, worker: str, at: float) -> None:
    """PROCESSING of task-1's run and a call, answered."""
    recording.statuses.append(event(recording, "task-1", 1, Status.PROCESSING, {}, at, worker=worker))
    called(recording, "task-1", at + 0.05, at + 0.1, status=200, outcome="answered")


def called(
    recording: Recording, task_id: str, started: float, ended: float, *, status: int, outcome: str
) -> None:
    number = 1000 + len(recording.calls)
    line = {"number": number, "kind": "chat", "marker": task_id, "started": started, "active": 1}
    recording.calls.append({"event": "begin", **line})
    end = {"number": number, "ended": ended, "status": status, "outcome": outcome, "nonce": f"nonce-{number}"}
    recording.calls.append({"event": "end", **end})


def long_lived() -> Recording:
    """Its process began long ago: nothing that moves partitions is near."""
    recording = healthy(12)
    recording.lives[0] = replace_began(recording.lives[0], BEGAN - 100)
    return recording


def replace_began(life: Life, began: float) -> Life:
    return Life(life.worker, life.slot, began, life.ended, life.code, life.signals)


# --- I7 -----------------------------------------------------------------------------------------


def test_a_run_in_flight_when_its_partition_moves_may_be_begun_again(tmp_path: Path) -> None:
    recording = long_lived()
    begun_again(recording, OTHER, BEGAN + 1.5)
    found = finding(recording, tmp_path / "run", "I7")
    assert found["holds"], found
    assert found["numbers"]["beyond one run each"] == 1
    # The other takes it and the first one goes on: what was in flight at each of the two moves.
    assert found["numbers"]["partitions handed over"] == 2
    assert found["numbers"]["allowed"] <= 3


def test_a_run_begun_again_by_its_own_process_without_a_cause_is_blamed(tmp_path: Path) -> None:
    recording = long_lived()
    begun_again(recording, WORKER, BEGAN + 1.5)
    found = finding(recording, tmp_path / "run", "I7")
    assert "0/1: begun again by the process that had it, and nothing tells why" in found["wrong"]


@pytest.mark.parametrize("fault", ["F4", "F8", "F11"])
def test_who_could_not_be_heard_may_begin_again_itself(fault: str, tmp_path: Path) -> None:
    recording = long_lived()
    recording.faults.append(Fault(fault, "silence", BEGAN + 1.2, BEGAN + 1.3, WORKER))
    begun_again(recording, WORKER, BEGAN + 1.5)
    assert finding(recording, tmp_path / "run", "I7")["holds"]


def test_more_calls_than_were_in_flight_are_blamed(tmp_path: Path) -> None:
    """A bound of two pools for each process, as it once was, allowed eighty."""
    recording = long_lived()
    begun_again(recording, OTHER, BEGAN + 1.5)
    for number in range(3, 9):
        # Runs that are over long since, begun again by another while none was in flight.
        at = CALM + number
        recording.statuses.append(
            event(recording, f"task-{number}", number, Status.PROCESSING, {}, at, worker=OTHER)
        )
        called(recording, f"task-{number}", at + 0.05, at + 0.1, status=200, outcome="answered")
    assert not finding(recording, tmp_path / "run", "I7")["holds"]


# --- I13 ----------------------------------------------------------------------------------------


def outage(recording: Recording, calls_after: int) -> None:
    """Six seconds of 503: five in a row, and then so many calls more, beginning two seconds later."""
    recording.faults.append(Fault("F18", "GigaChat answers 503", CALM, CALM + 6.0))
    times = [CALM + 0.1 * number for number in range(5)]
    times += [CALM + 2.5 + 3.0 * number / max(1, calls_after) for number in range(calls_after)]
    for at in times:
        called(recording, "task-11", at, at + 0.02, status=503, outcome="refused")


def test_probes_are_allowed(tmp_path: Path) -> None:
    recording = long_lived()
    outage(recording, 3)
    found = finding(recording, tmp_path / "run", "I13")
    assert found["holds"]
    assert found["numbers"]["processes that met the threshold"] == 1
    assert found["numbers"]["most calls after it"] == 3


def test_a_breaker_that_does_not_open_is_caught(tmp_path: Path) -> None:
    """Fewer than a pool: of the bound that counted a pool for each process nothing was left."""
    recording = long_lived()
    outage(recording, recording.plan.pool // 2)
    assert not finding(recording, tmp_path / "run", "I13")["holds"]


def test_an_answer_between_the_failures_begins_a_new_row(tmp_path: Path) -> None:
    recording = long_lived()
    outage(recording, 20)
    called(recording, "task-11", CALM + 0.25, CALM + 0.26, status=200, outcome="answered")
    found = finding(recording, tmp_path / "run", "I13")["numbers"]
    assert found["most calls until it was heard"] > 5


# --- F21 ----------------------------------------------------------------------------------------


def poisonous(recording: Recording) -> None:
    """task-1 is one that no worker survives: poison, with a letter, told by who took it over."""
    message = recording.sent[1]
    recording.sent[1] = replace(message, kind="kills its worker", status="4", code="poison", letter=True)
    at = recording.terminal("task-1")
    body = {"error": {"code": "poison"}, "error_message": "it was running when five workers ended"}
    recording.statuses[at] = replace(
        event(recording, "task-1", 1, Status.FAILED, body, recording.statuses[at].at, worker=OTHER), offset=at
    )
    letter = recording.letters[0]
    headers = (("dlq_reason", b"poison"), ("dlq_partition", b"0"), ("dlq_offset", b"1"))
    recording.letters.append(replace(letter, key=b"task-1", value=message.value, headers=headers))


def test_what_kills_its_worker_ends_as_poison_with_a_letter(tmp_path: Path) -> None:
    recording = healthy()
    poisonous(recording)
    recording.rows = []
    recording.metrics = []
    found = {one.name: one.wrong for one in judge(Book(recording.write(tmp_path / "run")))}
    assert found["I1"] == found["I3"] == found["I9"] == []


def test_an_innocent_task_that_ends_as_poison_is_caught(tmp_path: Path) -> None:
    recording = healthy()
    message = recording.sent[1]
    poisonous(recording)
    recording.sent[1] = message
    found = {one.name for one in judge(Book(recording.write(tmp_path / "run"))) if not one.holds}
    assert {"I1", "I9"} <= found


# --- F28 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "is_blamed"), [("no more memory", False), ("64 file descriptors", True)])
def test_who_gets_no_more_memory_may_end(what: str, is_blamed: bool, tmp_path: Path) -> None:
    recording = long_lived()
    recording.faults.append(Fault("F28", what, CALM, CALM + 6.0, OTHER))
    recording.lives.append(Life(OTHER, "w2", BEGAN - 100, CALM + 3.0, 70))
    assert finding(recording, tmp_path / "run", "I10")["holds"] != is_blamed
