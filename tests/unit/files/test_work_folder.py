"""A process's own folder, and what dead processes leave."""

from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from llm_service.errors import WorkFolderUnavailable
from llm_service.files.work_folder import WorkFolder, usual_root

_OTHER = """
import sys, pathlib
from llm_service.files.work_folder import WorkFolder
folder = WorkFolder(pathlib.Path(sys.argv[1])).open()
(folder / "document").write_text("left behind")
print(folder, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("is_killed", [True, False])
def test_leftovers_of_a_dead_process_are_swept_and_those_of_a_living_one_are_not(
    tmp_path: Path, is_killed: bool
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        if is_killed:
            other.kill()
            other.wait()
        ours = WorkFolder(tmp_path)
        ours.open()
        assert (theirs / "document").exists() is not is_killed
        ours.close()
        other.kill()


def test_closing_leaves_nothing_and_is_for_good(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path / "made")
    (work.open() / "x").write_text("x")
    assert work.open() == work.open()
    work.close()
    assert not list((tmp_path / "made").iterdir())
    with pytest.raises(WorkFolderUnavailable):
        work.open()


def test_a_folder_taken_away_is_made_again(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path)
    path = work.open()
    path.rmdir()
    assert work.open().is_dir()
    work.close()


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "llm-service-mine").mkdir()
    (tmp_path / "other.lock").touch()
    work = WorkFolder(tmp_path)
    work.open()
    work.close()
    assert {path.name for path in tmp_path.iterdir()} == {"llm-service-mine", "other.lock"}


def test_a_root_that_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkFolderUnavailable, match="work folder") as caught:
        WorkFolder(tmp_path / "file").open()
    assert caught.value.retryable


def test_a_machine_without_a_writable_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(WorkFolderUnavailable, match=r"No usable temporary directory found.*FILE_TEMP_FOLDER"):
        usual_root()
