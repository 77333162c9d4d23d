"""Ctrl-C in the first moments of a command, when it has not begun to listen for signals."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

LIMIT_S = 30
# A module that the command imports raises the signal where Python can't let an exception through: in a destructor.
START = """
import os, signal, sys
class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000): pass
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            Dying()
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder())
from llm_service.cli.main import main
main(prog_name='llm-service')
"""


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (("run",), "llm_service.cli.run"),
        (("run",), "confluent_kafka"),
        (("config",), "pydantic"),
        (("submit", "--text", "x"), "minio"),
        (("check",), "rich"),
    ],
)
def test_it_is_never_lost(words: tuple[str, ...], module: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", START.format(module=module), *words, "--env-file", "/dev/null"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGINT, "")
