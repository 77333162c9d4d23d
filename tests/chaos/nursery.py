"""``python -m tests.chaos.nursery`` starts workers that die at points, each forked from it when it has imported everything.

An import takes most of a worker's start, and a hundred of them are to die. Asked by a line of JSON each, it answers with
one: ``{"start": {...}}`` the process id, ``{"look": pid}`` the exit status, or null while it runs.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from tests.chaos.crashing import crash


def main() -> None:
    """Until the end of stdin; then all are killed."""
    # What `run` imports, and with it everything else.
    import_module("llm_service.cli.running.worker")
    # So that the collector does not write into what is shared.
    gc.freeze()
    running: set[int] = set()
    try:
        for line in sys.stdin:
            sys.stdout.write(json.dumps(_answer(json.loads(line), running)) + "\n")
            sys.stdout.flush()
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _answer(asked: Mapping[str, Mapping[str, str] | int], running: set[int]) -> int | None:
    start, pid = asked.get("start"), asked.get("look")
    if isinstance(start, Mapping):
        born = os.fork()
        if born == 0:
            _live(start)
        running.add(born)
        return born
    assert isinstance(pid, int)
    found, status = os.waitpid(pid, os.WNOHANG)
    if found == 0:
        return None
    running.discard(pid)
    return os.waitstatus_to_exitcode(status)


def _live(start: Mapping[str, str]) -> None:
    """The rest of the forked one's life, as if it had been started by its command."""
    environment: Mapping[str, str] = json.loads(start["environment"])
    os.environ.clear()
    os.environ.update(environment)
    log = os.open(start["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, own in ((0, nothing), (1, log), (2, log)):
        os.dup2(own, number)
    os.chdir(Path(start["log"]).parent)
    code = 1
    try:
        crash(start["point"], Path(start["folder"]))
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
