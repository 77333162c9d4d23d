"""What stands in the log: read back from the stream and the files it was written to."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from loguru import logger

from llm_service import events
from llm_service.observability.fan_out import fan_out
from llm_service.observability.log_observer import LogObserver
from llm_service.observability.logging import LogPolicy, configure, shutdown
from tests.unit.observability.samples import REF, life, settled

CANARY = "canary-secret-7f3a9b"


@pytest.fixture(autouse=True)
def _closed_log() -> Iterator[None]:
    yield
    shutdown()


class Log:
    """A configured log and what came out of it."""

    def __init__(self, policy: LogPolicy) -> None:
        self._stream = io.StringIO()
        self._log = configure(policy, self._stream)

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def dropped(self) -> Mapping[str, int]:
        return self._log.dropped()

    @property
    def lines(self) -> list[str]:
        assert self._log.wait_written()
        return self._stream.getvalue().splitlines()


def text_log(level: str = "INFO", *, secrets: tuple[str, ...] = ()) -> Log:
    return Log(LogPolicy(level=level, secrets=secrets))


def json_log() -> Log:
    return Log(LogPolicy(json_lines=True))


def without_time(line: str) -> str:
    return line.partition(" ")[2]


def test_a_settled_task_is_one_line() -> None:
    log = text_log()
    observer = LogObserver()
    for event in life():
        observer(event)

    assert [without_time(line) for line in log.lines] == [
        f"INFO     task_settled task_id={REF.task_id} trace_id={REF.trace_id} provider=gigachat seconds=1.250 code=success"
    ]
    assert log.lines[0].split(" ")[0].endswith("+00:00")


def test_a_failed_one_says_why() -> None:
    log = text_log()
    LogObserver()(settled("bucket_not_allowed", "bucket x is not allowed"))
    assert 'code=bucket_not_allowed reason="bucket x is not allowed"' in log.lines[0]


@pytest.mark.parametrize("code", ["verdict_failed", "answer_not_json", "answer_schema_mismatch"])
def test_what_the_model_said_is_not_logged(code: str) -> None:
    log = text_log()
    LogObserver()(settled(code, "the contract of Ivanov is not signed"))
    assert f"code={code}" in log.lines[0]
    assert "Ivanov" not in log.lines[0]


def test_debug_adds_every_stage_with_task_and_trace() -> None:
    log = text_log("DEBUG")
    observer = LogObserver(debug=True)
    for event in life():
        observer(event)
    assert len(log.lines) == len(life())
    assert (
        f"DEBUG    stage_finished task_id={REF.task_id} trace_id={REF.trace_id} place=tasks_llm/3/42 stage=fetch"
        in log.lines[2]
    )


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            events.BreakerChanged("ollama", "open", "5 failures"),
            "WARNING  breaker_changed provider=ollama state=open",
        ),
        (
            events.BreakerChanged("ollama", "closed", "ok"),
            "INFO     breaker_changed provider=ollama state=closed",
        ),
        (
            events.ConnectionChanged("kafka", up=False, reason="gone"),
            "WARNING  connection_down component=kafka",
        ),
        (events.ConnectionChanged("kafka", up=True, reason=""), "INFO     connection_up component=kafka"),
        (events.PartitionsRevoked("t", [1, 2], lost=True), "WARNING  partitions_lost topic=t partitions=1,2"),
        (
            events.PartitionsRevoked("t", [1, 2], lost=False),
            "INFO     partitions_revoked topic=t partitions=1,2",
        ),
        (
            events.PartitionsAssigned("t", [1], 3),
            "INFO     partitions_assigned topic=t partitions=1 finished_above=3",
        ),
        (
            events.FilesLeft("gigachat", ["a", "b"]),
            "WARNING  provider_files_left provider=gigachat files=a,b",
        ),
        (
            events.ModelPulled("ollama", "tiny", "gpu-1:11434", "43% of 4,700 MB"),
            'INFO     model_pulled provider=ollama model=tiny server=gpu-1:11434 progress="43% of 4,700 MB"',
        ),
        (events.FilesSwept("gigachat", 3), "INFO     provider_files_swept provider=gigachat files=3"),
        (
            events.Uncaught("thread", "the thread x ended", "x.py:1\nKeyError"),
            'ERROR    uncaught place=thread what="the thread x ended" traceback=x.py:1\\nKeyError',
        ),
        (events.OutcomeDropped(REF), f"WARNING  outcome_dropped task_id={REF.task_id}"),
        (events.TaskCrashed(REF, "life.py:1 KeyError"), f"ERROR    task_crashed task_id={REF.task_id}"),
    ],
)
def test_what_an_operator_must_know(event: events.Event, line: str) -> None:
    log = text_log()
    LogObserver()(event)
    assert without_time(log.lines[0]).startswith(line)


def test_the_same_trouble_is_told_once_in_a_while() -> None:
    log = text_log()
    now = [100.0]
    observer = LogObserver(monotonic=lambda: now[0])
    for _ in range(1000):
        observer(events.Trouble("kafka", "refused"))
    observer(events.Trouble("store", "refused"))
    now[0] += 10
    observer(events.Trouble("kafka", "refused"))
    assert [line.split("component=")[1].split()[0] for line in log.lines] == ["kafka", "store", "kafka"]


def test_a_trouble_does_not_hide_another_of_the_same_component_and_many_kinds_do_not_flood() -> None:
    log = text_log()
    now = [100.0]
    observer = LogObserver(monotonic=lambda: now[0])
    for number in range(100):
        observer(events.Trouble("kafka", f"Kafka did not take a message for status-{number}: no leader"))
        observer(events.Trouble("kafka", f"tasks/{number} stands still: the offset map can't be used"))
    assert ["stands still" in line for line in log.lines] == [False, True]
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    for word in (one + other for one in alphabet for other in alphabet):
        observer(events.Trouble("kafka", f"trouble {word}"))
    assert len(log.lines) == 50
    now[0] += 10
    observer(events.Trouble("kafka", "tasks/1 stands still: the offset map can't be used"))
    assert len(log.lines) == 51


FORGERY = "a\n2026-01-01T00:00:00.000+00:00 CRITICAL forged\r\x1b[2J\x9b31m\u2028\u202e\ud800{x} {0}"


@pytest.mark.parametrize("level", ["INFO", "ERROR"])
def test_no_value_makes_a_line_or_steers_the_terminal(level: str) -> None:
    log = text_log()
    logger.bind(task_id=FORGERY, code="x code=success").log(level, FORGERY)

    assert len(log.lines) == 1
    assert log.lines[0].isprintable()
    assert 'code="x code=success"' in log.lines[0]
    assert "{x} {0}" in log.lines[0]


def test_nor_does_an_exception() -> None:
    log = text_log()
    try:
        raise ValueError(FORGERY)
    except ValueError:
        logger.exception("failed")

    assert "ERROR    failed" in log.lines[0]
    assert all(line.startswith("    | ") for line in log.lines[1:])
    assert all(line.isprintable() for line in log.lines)
    assert "ValueError" in log.lines[-1] or "forged" in log.lines[-1]


def test_an_exception_tells_neither_variables_nor_a_thousand_frames() -> None:
    log = text_log()

    def dive(depth: int, token: str) -> None:
        if depth:
            plunge(depth - 1, token)
        raise RuntimeError("deep")

    def plunge(depth: int, token: str) -> None:
        # Two in turn: frames that repeat one another would be folded anyway.
        dive(depth, token)

    try:
        dive(200, CANARY)
    except RuntimeError:
        logger.exception("failed")
    assert CANARY not in "\n".join(log.lines)
    assert len(log.lines) < 80


def test_json_lines_hold_one_object_each() -> None:
    log = json_log()
    LogObserver()(settled("file_not_found", "документ\n\x1b[2J"))
    try:
        raise ValueError(FORGERY)
    except ValueError:
        logger.bind(time="mine", level="mine").exception(FORGERY)

    first, second = (json.loads(line) for line in log.lines)
    assert first["message"] == "task_settled"
    assert first["task_id"] == REF.task_id
    assert first["seconds"] == 1.25
    assert first["reason"] == "документ\n\x1b[2J"
    assert "документ" in log.lines[0]
    assert all(line.isprintable() for line in log.lines)
    assert second["level"] == "ERROR"
    assert second["time"] != "mine"
    assert "ValueError" in second["exception"]


@pytest.mark.parametrize("make", [json_log, text_log])
def test_a_value_of_any_size_makes_a_line_of_bounded_size(make: Callable[[], Log]) -> None:
    log = make()
    logger.bind(reason="x" * 100_000).info("y" * 100_000)
    assert len(log.lines[0]) < 10_000


def test_secrets_are_blotted_out_wherever_they_come_from() -> None:
    log = text_log("DEBUG", secrets=(CANARY, "postgres"))
    logger.bind(header=f"Basic {CANARY}").info(f"url?key={CANARY}")
    logging.getLogger("third.party").error("key %s refused by postgres", CANARY)
    try:
        raise ValueError(CANARY)
    except ValueError:
        logger.exception("failed")

    said = "\n".join(log.lines)
    assert CANARY not in said
    assert "***" in said
    assert "postgres" in said, "a short password is an ordinary word elsewhere"


def test_the_standard_librarys_loggers_go_the_same_way() -> None:
    log = text_log()
    logging.getLogger("some.library").warning("it is {odd} at %d %%", 5)
    logging.getLogger("some.library").debug("unheard")
    logging.getLogger("httpx").info("HTTP Request: POST https://host/path")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", UserWarning, stacklevel=1)

    assert without_time(log.lines[0]) == "WARNING  it is {odd} at 5 % logger=some.library"
    assert len(log.lines) == 2
    assert "logger=py.warnings" in log.lines[1]


def test_a_level_of_its_own_number_passes() -> None:
    log = text_log()
    logging.getLogger("some.library").log(35, "in between")
    assert "in between" in log.lines[0]


def test_files_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    configure(LogPolicy(directory=folder), io.StringIO())
    logger.info("привет")
    logger.error("alas")
    shutdown()

    system = (folder / "system.log").read_text(encoding="utf-8").splitlines()
    errors = (folder / "errors.log").read_text(encoding="utf-8").splitlines()
    assert [without_time(line) for line in system] == ["INFO     привет", "ERROR    alas"]
    assert [without_time(line) for line in errors] == ["ERROR    alas"]


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = Log(LogPolicy(directory=tmp_path / "file" / "logs"))
    logger.info("still here")
    assert "WARNING  log_folder_unwritable" in log.lines[0]
    assert "still here" in log.lines[1]


def test_configuring_again_replaces_what_was() -> None:
    before = text_log()
    after = text_log()
    logger.info("once")
    logging.getLogger("x").warning("once too")
    assert before.text == ""
    assert len(after.lines) == 2


def test_a_failing_observer_stops_nobody() -> None:
    log = text_log()
    heard: list[events.Event] = []

    def broken(event: events.Event) -> None:
        raise RuntimeError("broken")

    fan_out(broken, heard.append)(settled())

    assert heard == [settled()]
    assert "observer_failed event=TaskSettled" in log.lines[0]
