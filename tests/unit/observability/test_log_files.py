"""The files of LOG_DIR: rotated, and whatever the disk does, no worker stops for them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from llm_service.observability.log_files import RotatedFile
from llm_service.observability.logging import LogPolicy, configure, shutdown
from tests.unit.observability.test_log import Log


@pytest.fixture(autouse=True)
def _closed_log() -> Iterator[None]:
    yield
    shutdown()


class File:
    """A rotated file of 100 bytes, two kept."""

    def __init__(self, path: Path) -> None:
        self.troubles: list[OSError] = []
        self.it = RotatedFile(path, 100, lambda _, error: self.troubles.append(error), kept=2)
        self.it.open()


def test_a_full_file_makes_room_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "system.log"
    file = File(path)
    for number in range(5):
        file.it.write(f"{number}" * 59 + "\n")
    assert {found.name: found.read_text()[0] for found in tmp_path.iterdir()} == {
        "system.log": "4",
        "system.log.1": "3",
        "system.log.2": "2",
    }
    assert file.troubles == []


def test_an_old_file_is_added_to_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "system.log"
    path.write_text("a" * 89 + "\n")
    file = File(path)
    file.it.write("b" * 9 + "\n")
    file.it.write("c\n")
    assert (tmp_path / "system.log.1").stat().st_size == 100
    assert path.read_text() == "c\n"


def test_a_file_that_cannot_be_moved_is_written_on(tmp_path: Path) -> None:
    path = tmp_path / "system.log"
    (tmp_path / "system.log.1").mkdir()
    (tmp_path / "system.log.1" / "x").touch()
    (tmp_path / "system.log.2").touch()
    file = File(path)
    for _ in range(30):
        file.it.write("x" * 19 + "\n")
    assert path.stat().st_size == 600
    assert 1 < len(file.troubles) < 25, "told of as it grows, not for each line"


def test_a_file_taken_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "system.log"
    file = File(path)
    file.it.write("one\n")
    path.unlink()
    file.it.write("two\n")
    path.rename(tmp_path / "moved")
    file.it.write("three\n")
    assert (tmp_path / "moved").read_text() == "two\n"
    assert path.read_text() == "three\n"


def test_a_line_that_was_cut_is_ended_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "system.log"
    file = File(path)
    write = os.write
    room = [3]

    def full_disk(descriptor: int, data: bytes) -> int:
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[: room.pop()])

    monkeypatch.setattr(os, "write", full_disk)
    with pytest.raises(OSError, match="No space"):
        file.it.write("first line\n")
    monkeypatch.undo()
    file.it.write("second line\n")
    assert path.read_text() == "fir\nsecond line\n"


def test_a_disk_without_room_costs_lines_and_says_so_on_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "system.log").symlink_to("/dev/full")
    log = Log(LogPolicy(directory=tmp_path))
    logger.info("one")
    assert any(" one" in line for line in log.lines)
    logger.error("two")

    assert sum("log_folder_unwritable" in line for line in log.lines) == 1
    assert 'reason="No space left on device"' in "".join(log.lines)
    assert log.dropped["files"] == 2
    assert log.dropped["terminal"] == 0
    assert (tmp_path / "errors.log").read_text().splitlines()[-1].endswith(" two"), "it has room"

    (tmp_path / "system.log").unlink()
    logger.info("three")
    assert log.lines
    written = (tmp_path / "system.log").read_text().splitlines()
    assert written[0].endswith(" three")
    assert written[1].endswith("log_lines_dropped sink=files lines=2")


def test_a_folder_that_becomes_writable_is_written(tmp_path: Path) -> None:
    blocker = tmp_path / "logs"
    blocker.write_text("a file where the folder should be")
    log = Log(LogPolicy(directory=blocker))
    logger.info("lost")
    assert log.lines
    blocker.unlink()
    logger.info("kept")
    assert log.lines
    assert (blocker / "system.log").read_text().splitlines()[0].endswith(" kept")


def test_nothing_of_it_is_left_open(tmp_path: Path) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    configure(LogPolicy(directory=tmp_path))
    logger.info("x")
    shutdown()
    assert set(Path("/proc/self/fd").iterdir()) == before
