"""What becomes of a command whose stdout or stderr can't be written: a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from llm_service.cli.exit_codes import ExitCode


@contextmanager
def written_streams() -> Iterator[None]:
    """End the process with FAILED where what was printed inside reaches no disk; a reader that has gone ends it, too.

    ``command > /dev/full`` is no bug: neither a traceback nor the 120 of an interpreter that can't flush says so.
    """
    _open_closed()
    try:
        yield
    except OSError:
        # Of a stream of ours or of something else: a stream that takes no line end is it.
        if (error := _lost("\n")) is None:
            raise
        _leave(error)
    except (Exception, SystemExit):
        if (error := _lost()) is None:
            raise
        _leave(error)


def _open_closed() -> None:
    """Under ``>&-`` there is no stdout, and the next socket would get its number: the null device takes the place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            null = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 # open as long as the process is
            setattr(sys, name, null)


def _lost(probe: str = "") -> OSError | None:
    """Why a stream can't be written; it goes nowhere from now on, so that the interpreter's end says nothing of it.

    What could not be written is still in the buffer and fails again, unless there is none (PYTHONUNBUFFERED): ``probe``
    is written then.
    """
    lost: OSError | None = None
    for stream in (sys.stderr, sys.stdout):
        try:
            stream.write("" if lost else probe)
            stream.flush()
        except OSError as error:
            lost = error
            _to_nowhere(stream)
    return lost


def _to_nowhere(stream: TextIO) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _leave(error: OSError) -> None:
    if not isinstance(error, BrokenPipeError):
        with suppress(OSError):
            print(
                f"The output can't be written: {error.strerror}. Make room, or send it elsewhere.",
                file=sys.stderr,
                flush=True,
            )
    sys.exit(ExitCode.FAILED)
