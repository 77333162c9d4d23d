"""The checker finds nothing in a sound recording, and what is wrong in each falsified one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from llm_service.contract.status import Status
from llm_service.kafka.offset_map import Run, encode_owned
from tests.chaos.checker.__main__ import main
from tests.chaos.checker.book import Book
from tests.chaos.checker.judging import judge
from tests.chaos.recording import Fault, Life
from tests.unit.chaos.synthetic import BEGAN, CANARY, SECRET, WORKER, Recording, again, event, healthy


def broken(recording: Recording, folder: Path) -> dict[str, list[str]]:
    """What does not hold, by its name."""
    found = judge(Book(recording.write(folder)))
    return {finding.name: finding.wrong for finding in found if not finding.holds}


def test_in_a_sound_recording_all_invariants_hold(tmp_path: Path) -> None:
    assert broken(healthy(), tmp_path / "run") == {}


def dropped(recording: Recording) -> None:
    del recording.statuses[recording.terminal("task-1")]


def doubled(recording: Recording) -> None:
    first = recording.statuses[recording.terminal("task-1")]
    recording.statuses.append(replace(first, offset=len(recording.statuses)))


def altered(recording: Recording) -> None:
    recording.change("task-1", lambda event: replace(event, value=event.value.replace(b"answer", b"Answer")))


def made_up(recording: Recording) -> None:
    """An answer in good order that no provider gave."""
    at = recording.terminal("task-1")
    body = {"result": "from nowhere"}
    recording.statuses[at] = replace(
        event(recording, "task-1", 1, Status.SUCCESS, body, recording.statuses[at].at),
        offset=recording.statuses[at].offset,
    )


def contradicted(recording: Recording) -> None:
    recording.statuses.append(
        again(recording, "task-1", b'{"result": "nonce-1, said otherwise"}', "LLM_w2.1")
    )


def hidden(recording: Recording) -> None:
    """What only a reader of aborted transactions sees is no answer."""
    recording.change("task-1", lambda event: replace(event, committed=False))


def failed_instead(recording: Recording) -> None:
    at = recording.terminal("task-1")
    body = {"error": {"code": "internal_error"}, "error_message": "a bug"}
    recording.statuses[at] = event(recording, "task-1", 1, Status.FAILED, body, recording.statuses[at].at)


def unannounced(recording: Recording) -> None:
    recording.statuses = [
        event for event in recording.statuses if event.is_terminal or event.task_id != "task-1"
    ]


def committed_early(recording: Recording) -> None:
    recording.samples.insert(0, {"at": BEGAN + 0.5, "committed": {"0": [1, encode_owned(1, [], "w1")]}})
    recording.samples[1]["committed"]["0"] = [1, encode_owned(1, [Run(1, 6)], "w1")]


def claimed_too_much(recording: Recording) -> None:
    """The map of a sample holds an offset that was not answered by then."""
    recording.samples[0]["at"] = BEGAN + 3.5


def went_back(recording: Recording) -> None:
    recording.samples.append({"at": BEGAN + 20, "committed": {"0": [2, encode_owned(2, [Run(2, 6)], "w1")]}})
    recording.samples.append({"at": BEGAN + 21, "committed": {"0": [6, encode_owned(6, [], "w1")]}})


def left_behind(recording: Recording) -> None:
    del recording.samples[1]


def overcrowded(recording: Recording) -> None:
    for number in range(100, 100 + recording.plan.pool + 1):
        line = {
            "event": "begin",
            "number": number,
            "kind": "chat",
            "marker": "",
            "started": BEGAN,
            "active": 1,
        }
        recording.calls.append(line)


def asked_again(recording: Recording) -> None:
    line = {"number": 99, "kind": "chat", "marker": "task-1", "started": BEGAN + 30, "active": 1}
    recording.calls.append({"event": "begin", **line})


def asked_twice_in_one_run(recording: Recording) -> None:
    """Before it is committed, so that nothing but the number tells."""
    line = {"number": 99, "kind": "chat", "marker": "task-1", "started": BEGAN + 1.3, "active": 1}
    recording.calls.append({"event": "begin", **line})
    end = {"number": 99, "ended": BEGAN + 1.8, "status": 200, "outcome": "answered", "nonce": "nonce-1"}
    recording.calls.append({"event": "end", **end})


def no_letter(recording: Recording) -> None:
    recording.letters.clear()


def two_letters(recording: Recording) -> None:
    recording.letters *= 2


def letter_altered(recording: Recording) -> None:
    recording.letters[0] = replace(recording.letters[0], value=b"{}")


def ended_by_itself(recording: Recording) -> None:
    recording.lives[0].signals.clear()
    recording.lives[0].code = 70


def slow_to_stop(recording: Recording) -> None:
    recording.lives.append(Life("LLM_w2.1", "w2", BEGAN, BEGAN + 40, 0, [(BEGAN + 5, "SIGTERM")]))


def stood_still(recording: Recording) -> None:
    recording.faults.append(Fault("F17", "MinIO", BEGAN, BEGAN + 1, ""))
    for at, one in enumerate(recording.statuses):
        recording.statuses[at] = replace(one, at=one.at + 25.0)
    for sample in recording.samples:
        sample["at"] += 25.0
    recording.plan = replace(recording.plan, session_s=6.0)


def leaked(recording: Recording) -> None:
    recording.log += f"calling with {SECRET}\n"


def told_the_prompt(recording: Recording) -> None:
    recording.log += f"asked: {CANARY}\n"


def token_in_an_event(recording: Recording) -> None:
    recording.change(
        "task-1", lambda event: replace(event, headers=(*event.headers, ("x", b"eyJjdHkiOiJqd3QifQ.ab.cd")))
    )


def file_left(recording: Recording) -> None:
    recording.files_left.append("work/llm-service-1/contract.pdf")


def counted_too_much(recording: Recording) -> None:
    recording.metrics[-1]["series"]['llm_service_tasks_settled_total{status="success"}'] += 1


def lag_that_is_none(recording: Recording) -> None:
    recording.metrics[-1]["series"]['llm_service_lag{partition="0",topic="tasks"}'] = 245.0


def row_lost(recording: Recording) -> None:
    del recording.rows[0]


def row_of_another_event(recording: Recording) -> None:
    recording.rows[0]["event_id"] = recording.rows[1]["event_id"]


def row_without_an_event(recording: Recording) -> None:
    recording.rows.append({**recording.rows[0], "run": "tasks/0/999"})


@pytest.mark.parametrize(
    ("falsify", "name"),
    [
        (dropped, "I1"),
        (doubled, "I2"),
        (altered, "I1"),
        (made_up, "I1"),
        (contradicted, "I2"),
        (hidden, "I1"),
        (failed_instead, "I1"),
        (unannounced, "I3"),
        (committed_early, "I4"),
        (claimed_too_much, "I4"),
        (went_back, "I4"),
        (left_behind, "I5"),
        (overcrowded, "I6"),
        (asked_again, "I7"),
        (asked_twice_in_one_run, "I7"),
        (stood_still, "I8"),
        (no_letter, "I9"),
        (two_letters, "I9"),
        (letter_altered, "I9"),
        (ended_by_itself, "I10"),
        (slow_to_stop, "I10"),
        (counted_too_much, "I12"),
        (lag_that_is_none, "I12"),
        (row_lost, "I11"),
        (row_of_another_event, "I11"),
        (row_without_an_event, "I11"),
        (file_left, "I15"),
        (leaked, "I16"),
        (told_the_prompt, "I16"),
        (token_in_an_event, "I16"),
    ],
)
def test_what_is_falsified_is_caught(falsify: Callable[[Recording], None], name: str, tmp_path: Path) -> None:
    recording = healthy()
    falsify(recording)
    found = broken(recording, tmp_path / "run")
    assert name in found, found
    assert found[name]


def test_a_slow_machine_may_take_longer_and_do_nothing_else_wrong(tmp_path: Path) -> None:
    slow = healthy()
    stood_still(slow)
    slow_to_stop(slow)
    slow.plan = replace(slow.plan, patience=4.0)
    assert broken(slow, tmp_path / "slow") == {}
    lost = healthy()
    lost.plan = slow.plan
    dropped(lost)
    assert "I1" in broken(lost, tmp_path / "lost")


def test_ctrl_c_ends_what_has_not_begun_with_its_own_code(tmp_path: Path) -> None:
    recording = healthy()
    recording.lives.append(Life("LLM_w2.1", "w2", BEGAN, BEGAN + 1, 130, [(BEGAN + 0.5, "SIGINT")]))
    assert broken(recording, tmp_path / "by Ctrl-C") == {}
    recording.lives[-1] = Life("LLM_w2.1", "w2", BEGAN, BEGAN + 1, 130, [(BEGAN + 0.5, "SIGTERM")])
    assert "I10" in broken(recording, tmp_path / "by itself")


@pytest.mark.parametrize(("first", "is_heard"), [("SIGINT", False), ("SIGTERM", True)])
def test_ctrl_c_may_be_lost_while_python_itself_begins(first: str, is_heard: bool, tmp_path: Path) -> None:
    recording = healthy()
    signals = [(BEGAN + 0.1, first), (BEGAN + 40, "SIGTERM")]
    recording.lives.append(Life("LLM_w2.1", "w2", BEGAN, BEGAN + 41, 0, signals))
    assert ("I10" in broken(recording, tmp_path / "run")) == is_heard


@pytest.mark.parametrize(("kind", "is_blamed"), [("F8", False), ("F15", True)])
def test_who_is_fenced_after_the_broker_stood_still_is_started_again(
    kind: str, is_blamed: bool, tmp_path: Path
) -> None:
    recording = healthy()
    recording.faults.append(Fault(kind, "SIGSTOP", BEGAN + 1, BEGAN + 10))
    recording.lives.append(Life("LLM_w2.1", "w2", BEGAN, BEGAN + 12, 70))
    assert ("I10" in broken(recording, tmp_path / "run")) == is_blamed


def test_a_run_above_what_is_folded_may_have_no_row_yet(tmp_path: Path) -> None:
    recording = healthy()
    folder = recording.write(tmp_path / "run")
    tables = json.loads((folder / "tables.json").read_text())
    tables["status_fold_positions"][0]["next_offset"] = 0
    tables["task_outcomes"] = []
    (folder / "tables.json").write_text(json.dumps(tables))
    found = next(one for one in judge(Book(folder)) if one.name == "I11")
    assert found.holds
    assert found.numbers["not folded yet"] == 6


def test_a_kill_counts_with_what_was_in_flight_and_how_soon_its_partitions_went_on(tmp_path: Path) -> None:
    recording = healthy()
    recording.faults.append(Fault("F1", "SIGKILL", BEGAN + 1.5, BEGAN + 1.5, WORKER, "same"))
    for at, one in enumerate(recording.statuses):
        if one.is_terminal:
            headers = tuple(
                (name, b"LLM_w1.2" if name == "worker_id" else value) for name, value in one.headers
            )
            recording.statuses[at] = replace(one, headers=headers)
    kills = judge(Book(recording.write(tmp_path / "run")))[-1].numbers
    assert kills["in flight at each"] == [1]
    assert kills["same instance back, s"] == {"count": 1, "median": 0.5, "worst": 0.5}


def test_in_at_least_once_a_second_answer_needs_a_second_worker_that_began_before_the_commit(
    tmp_path: Path,
) -> None:
    recording = healthy()
    recording.plan = replace(recording.plan, mode="at_least_once")
    recording.statuses.append(
        event(recording, "task-1", 1, Status.PROCESSING, {}, BEGAN + 1.5, worker="LLM_w2.1")
    )
    recording.statuses.append(
        again(recording, "task-1", b'{"result": "nonce-1, said otherwise"}', "LLM_w2.1")
    )
    assert "I2" not in broken(recording, tmp_path / "excused")
    late = healthy()
    late.plan = recording.plan
    late.statuses.append(event(late, "task-1", 1, Status.PROCESSING, {}, BEGAN + 20, worker="LLM_w2.1"))
    second = again(late, "task-1", b'{"result": "nonce-1, said otherwise"}', "LLM_w2.1")
    late.statuses.append(replace(second, at=BEGAN + 21))
    assert "I2" in broken(late, tmp_path / "late")


def test_the_program_leaves_text_json_and_picture_and_tells_by_its_exit_code(tmp_path: Path) -> None:
    sound = healthy().write(tmp_path / "sound")
    said = CliRunner().invoke(main, [str(sound)])
    assert said.exit_code == 0
    assert "all invariants hold" in said.output
    assert (sound / "picture.svg").read_text().startswith("<svg")
    recording = healthy()
    dropped(recording)
    wrong = recording.write(tmp_path / "wrong")
    assert CliRunner().invoke(main, [str(wrong), "--json"]).exit_code == 1
    assert '"holds": false' in (wrong / "report.json").read_text()
