"""Lines under way: nobody who logs waits, nothing is lost at an end, and what is lost is counted."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from loguru import logger

from llm_service.observability.log_sink import Line, LogSink
from llm_service.observability.logging import FLUSH_S, LogPolicy, configure, shutdown


class Written:
    """A destination that a test can stop and break."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.open_again = threading.Event()
        self.open_again.set()
        self.error: Exception | None = None
        self.writing = threading.Event()

    def open(self) -> None:
        if isinstance(self.error, OSError):
            raise self.error

    def write(self, lines: Sequence[Line]) -> None:
        self.writing.set()
        self.open_again.wait(10)
        if self.error is not None:
            raise self.error
        self.texts += [line.text for line in lines]

    def close(self) -> None:
        """Nothing to close."""


class Sink:
    """A sink, its destination and what it said of itself."""

    def __init__(self, capacity_chars: int = 1000) -> None:
        self.written = Written()
        self.troubles: list[str] = []
        self.it = LogSink(
            "files",
            self.written,
            lambda name, error: self.troubles.append(f"{name}: {error}"),
            lambda name, lines: f"{name} lost {lines}\n",
            capacity_chars=capacity_chars,
        )

    def put(self, *texts: str) -> None:
        for text in texts:
            self.it.put(Line(text))


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.written.open_again.set()
    made.it.close(1.0)


def test_lines_come_in_their_order_and_a_close_loses_none(sink: Sink) -> None:
    sink.it.start(1.0)
    sink.put(*map(str, range(200)))
    sink.it.close(1.0)
    assert sink.written.texts == [str(number) for number in range(200)]
    assert not any(thread.name == "log-files" for thread in threading.enumerate())


def test_a_destination_that_hangs_costs_lines_and_no_time(sink: Sink) -> None:
    sink.it.start(1.0)
    sink.written.open_again.clear()
    sink.put("first")
    assert sink.written.writing.wait(5)
    began = time.monotonic()
    sink.put(*["x" * 100] * 50)
    assert sink.it.flush(0.05) is False
    assert time.monotonic() - began < 0.5
    assert sink.it.dropped == 41, "1000 characters have room, the first line's five among them"

    sink.written.open_again.set()
    assert sink.it.flush(5)
    assert sink.written.texts == ["first", *["x" * 100] * 9, "files lost 41\n"]
    sink.put("after")
    assert sink.it.flush(5)
    assert sink.written.texts[-1] == "after", "and there is room again"
    assert sink.it.dropped == 41


def test_what_a_destination_refuses_is_counted_and_told_once(sink: Sink) -> None:
    sink.written.error = OSError(28, "No space left on device")
    sink.it.start(1.0)
    for _ in range(3):
        sink.put("a", "b")
        assert sink.it.flush(5)
    assert sink.it.dropped == 6
    assert sink.troubles == ["files: [Errno 28] No space left on device"]

    sink.written.error = None
    sink.put("c")
    assert sink.it.flush(5)
    assert sink.written.texts == ["c", "files lost 6\n"]


def test_a_bug_in_a_destination_does_not_end_the_thread(sink: Sink) -> None:
    sink.it.start(1.0)
    sink.written.error = KeyError("x")
    sink.put("a")
    assert sink.it.flush(5)
    assert sink.troubles == ["files: [Errno 0] a bug: KeyError"]
    sink.written.error = None
    sink.put("b")
    assert sink.it.flush(5)
    assert sink.written.texts == ["b", "files lost 1\n"]


def test_lines_of_several_threads_are_whole() -> None:
    stream = io.StringIO()
    configure(LogPolicy(), stream)
    threads = [
        threading.Thread(target=lambda: [logger.info("y" * 200) for _ in range(100)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shutdown()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 400
    assert {line.rpartition(" ")[2] for line in lines} == {"y" * 200}


async def test_a_pipe_that_nobody_reads_does_not_hold_the_loop(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    terminal = os.fdopen(writing, "w")
    log = configure(LogPolicy(directory=tmp_path), terminal)
    longest = 0.0
    for _ in range(300):
        began = time.monotonic()
        for _ in range(20):
            logger.info("z" * 2000)
        await asyncio.sleep(0.001)
        longest = max(longest, time.monotonic() - began)
    assert log.dropped()["terminal"] > 1000
    assert longest < 0.25, "20 lines take a millisecond"
    assert log.dropped()["files"] == 0, "the other way is free"
    began = time.monotonic()
    shutdown()
    assert time.monotonic() - began < FLUSH_S + 0.5
    assert len((tmp_path / "system.log").read_text().splitlines()) == 6000
    os.close(reading)
    terminal.close()


ENDS = """
import sys, os, io
from pathlib import Path
from loguru import logger
from llm_service.observability.logging import LogPolicy, configure, shutdown
configure(LogPolicy(directory=Path(sys.argv[1])))
for number in range(500):
    logger.info(f"line {number}")
{end}
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("", 0),
        ("raise RuntimeError('alas')", 1),
        ("sys.exit(3)", 3),
        ("shutdown(); os._exit(4)", 4),
    ],
)
def test_no_way_to_end_loses_a_line(end: str, code: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS.replace("{end}", end), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert sum("INFO     line " in line for line in done.stderr.splitlines()) == 500
    assert len((tmp_path / "system.log").read_text().splitlines()) == 500


def test_a_reader_that_leaves_ends_nothing(tmp_path: Path) -> None:
    script = ENDS.replace(
        "{end}", "import time; time.sleep(0.1); logger.info('later'); shutdown(); os._exit(5)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.PIPE)
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(20) == 5
    assert "later" in (tmp_path / "system.log").read_text()
    assert "terminal_unwritable" in (tmp_path / "system.log").read_text()
