"""Commands whose stdout or stderr can't be written: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from llm_service.cli.main import main

START = "from llm_service.cli.main import main; main(prog_name='llm-service')"
LIMIT_S = 60
FULL = Path("/dev/full")

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def _command(*words: str, to: str, unbuffered: str = "") -> subprocess.CompletedProcess[str]:
    """``to``: where a shell sends its streams."""
    env = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {to}', "sh", sys.executable, "-c", START, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env=env,
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words",
    [
        ("version",),
        ("--help",),
        ("config", "--env-file", "/dev/null"),
        ("prompts", "--env-file", "/dev/null"),
    ],
)
def test_a_full_disk_behind_stdout_is_said_in_one_line(words: tuple[str, ...], unbuffered: str) -> None:
    ended = _command(*words, to=">/dev/full", unbuffered=unbuffered)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("The output can't be written: No space left on device")
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


def test_a_full_disk_behind_stderr_is_a_failure_and_no_crash() -> None:
    ended = _command("nonsense", to="2>/dev/full")
    assert (ended.returncode, ended.stdout) == (1, "")


@pytest.mark.parametrize("words", [("version",), ("check", "ollama", "--env-file", "/dev/null")])
def test_a_command_works_without_any_stdout(words: tuple[str, ...]) -> None:
    ended = _command(*words, to=">&-")
    assert ended.returncode in (0, 3)
    assert "Traceback" not in ended.stderr


def test_a_reader_that_has_gone_needs_no_sentence() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        ended = subprocess.run(
            [sys.executable, "-c", START, "version"],
            stdout=gone,
            stderr=subprocess.PIPE,
            timeout=LIMIT_S,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_a_command_with_a_slip_in_its_name_is_named() -> None:
    ended = CliRunner().invoke(main, ["chekc"])
    assert ended.exit_code == 2
    assert "Did you mean 'check'?" in ended.stderr
