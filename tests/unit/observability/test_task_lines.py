"""Whose line it is: every line that is written while a task is worked on, by whomever."""

from __future__ import annotations

import asyncio
import json
import logging
import warnings
from collections.abc import Iterator
from contextvars import Context, copy_context
from pathlib import Path

import pytest
from loguru import logger

from llm_service import events
from llm_service.container.threads import ContextThreads
from llm_service.events import begin_task, current_task, end_task
from llm_service.observability.log_observer import LogObserver
from llm_service.observability.logging import LogPolicy, shutdown
from llm_service.tasks.course import Course
from llm_service.tasks.intake import TaskIntake
from llm_service.tasks.ports import Delivery
from tests.unit.observability.samples import REF
from tests.unit.observability.test_log import Log

IDS = f"task_id={REF.task_id} trace_id={REF.trace_id}"
WORDS = "Ivanov has not signed the contract"


@pytest.fixture(autouse=True)
def _closed_log() -> Iterator[None]:
    yield
    shutdown()


@pytest.fixture
def work() -> Context:
    """A context in which the task is worked on."""
    context = copy_context()
    context.run(begin_task, REF)
    return context


def everybody_speaks() -> None:
    logger.info("ours")
    logger.bind(file="a.pdf").warning("bound")
    logging.getLogger("third.party").warning("theirs")
    warnings.warn("old", UserWarning, stacklevel=1)
    LogObserver()(events.BreakerChanged("gigachat", "open", "5 failures"))


def test_each_line_has_the_ids_whoever_writes_it(work: Context) -> None:
    log = Log(LogPolicy())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        work.run(everybody_speaks)
    logger.info("nobody's")
    assert len(log.lines) == 6
    assert all(line.count(IDS) == 1 for line in log.lines[:5])
    assert "task_id" not in log.lines[5]
    assert log.lines[1].endswith(f"bound {IDS} file=a.pdf")


def test_also_as_json(work: Context) -> None:
    log = Log(LogPolicy(json_lines=True))
    work.run(logger.info, "ours")
    assert json.loads(log.lines[0])["task_id"] == REF.task_id
    assert json.loads(log.lines[0])["trace_id"] == REF.trace_id


def test_a_line_that_names_its_task_keeps_it(work: Context) -> None:
    log = Log(LogPolicy())
    work.run(logger.bind(task_id="another", trace_id="its").info, "x")
    assert "task_id=another trace_id=its" in log.lines[0]
    assert IDS not in log.lines[0]


async def test_also_in_the_threads_that_work_for_it() -> None:
    log = Log(LogPolicy())
    begin_task(REF)
    with ContextThreads(1) as threads:
        await asyncio.get_running_loop().run_in_executor(threads, logger.info, "executor")
        end_of_another = Context().run(threads.submit, logger.info, "nobody's")
        end_of_another.result()
    await asyncio.to_thread(logger.info, "thread")
    await asyncio.create_task(_says("task"))
    lines = {line.split(" ")[6]: line for line in log.lines}
    assert all(IDS in lines[name] for name in ("executor", "thread", "task"))
    assert IDS not in lines["nobody's"]


async def _says(words: str) -> None:
    logger.info(words)


async def test_what_a_task_leaves_behind_is_nobodys_afterwards() -> None:
    log = Log(LogPolicy())
    over = asyncio.Event()

    async def outlives() -> None:
        await over.wait()
        logger.info("afterwards")

    begin_task(REF)
    left = asyncio.create_task(outlives())
    end_task()
    over.set()
    await left
    assert IDS not in log.lines[0]


async def test_the_intake_begins_and_ends_it() -> None:
    seen: list[events.TaskRef | None] = []
    told: list[events.TaskRef | None] = []

    async def live(course: Course) -> None:
        begin_task(REF)
        seen.append(current_task())
        raise RuntimeError(WORDS)

    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(current_task()))
    intake = TaskIntake(live)
    intake.take([Delivery("t", 0, 1, 1, None, b"", (), 0.0)])
    await asyncio.wait(intake._running)
    await asyncio.sleep(0)
    assert seen == [REF]
    assert told == [REF], "a life that failed says whose it was"
    assert current_task() is None


def test_libraries_do_not_tell_of_requests_while_a_task_is_worked_on(work: Context) -> None:
    log = Log(LogPolicy(level="DEBUG"))
    for level in (logging.DEBUG, logging.INFO):
        work.run(logging.getLogger("some.sdk").log, level, "POST /chat %s", WORDS)
    logging.getLogger("some.sdk").debug("at start")
    assert [line.rpartition(" ")[0].split(" ", 1)[1].strip() for line in log.lines] == ["DEBUG    at start"]


def fails(words: str) -> None:
    try:
        raise KeyError(words)
    except KeyError as error:
        try:
            raise ValueError(words) from error
        except ValueError:
            logger.exception("failed")
            logging.getLogger("x").exception("failed too")


def test_an_exceptions_own_words_are_left_out_while_a_task_is_worked_on(work: Context) -> None:
    log = Log(LogPolicy(level="DEBUG"))
    work.run(fails, WORDS)
    said = "\n".join(log.lines)
    assert WORDS not in said
    assert "ValueError" in said
    assert "caused by:" in said
    assert "KeyError" in said
    assert "test_task_lines.py" in said
    fails("elsewhere it helps")
    assert "ValueError: elsewhere it helps" in "\n".join(log.lines)


def test_what_the_system_and_we_say_of_an_error_stays(work: Context, tmp_path: Path) -> None:
    log = Log(LogPolicy())

    def opens() -> None:
        try:
            (tmp_path / WORDS).read_text()
        except OSError:
            logger.exception("failed")

    work.run(opens)
    assert "FileNotFoundError: No such file or directory" in "\n".join(log.lines)
    assert WORDS not in "\n".join(log.lines)
