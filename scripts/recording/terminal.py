"""Running a program on a terminal, and what the screen showed moment by moment."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import termios
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyte

_SGR = re.compile(rb"\x1b\[([0-9;]*)m")


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring characters of one look; ``column`` is the first one's."""

    column: int
    text: str
    color: str
    """A name of pyte's (green, cyan …) or ``default``."""
    bold: bool
    dim: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """The screen at a time, in seconds from the start."""

    at: float
    lines: tuple[tuple[Run, ...], ...]
    """Without the empty ones at the end."""

    @property
    def text(self) -> str:
        return "\n".join(_text(line) for line in self.lines)


def record(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    columns: int,
    rows: int,
    limit_s: float,
) -> list[tuple[float, bytes]]:
    """Run it to its end: each piece that the terminal was sent, with its time. Raises when it does not end well."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (rows, columns))
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=folder, env=dict(environment), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    pieces: list[tuple[float, bytes]] = []
    with process, os.fdopen(ours, "rb", buffering=0) as terminal:
        while piece := _read(terminal.fileno()):
            pieces.append((time.monotonic() - began, piece))
            if time.monotonic() - began > limit_s:
                process.kill()
        code = process.wait(limit_s)
    if code:
        raise RuntimeError(f"{command[0]} ended with {code}: {b''.join(p for _, p in pieces)[-2000:]!r}")
    return pieces


def replay(pieces: Iterable[tuple[float, bytes]], columns: int, height: int) -> list[Moment]:
    """The screen after each piece. It is as high as all that is shown in the end, so that nothing scrolls away."""
    screen = pyte.Screen(columns, height)
    stream = pyte.ByteStream(screen)
    moments = []
    for at, piece in pieces:
        stream.feed(_SGR.sub(_faint_as_blink, piece))
        moments.append(Moment(at, _lines(screen)))
    return moments


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux's way to say that the other side is closed
        return b""


def _faint_as_blink(found: re.Match[bytes]) -> bytes:
    """pyte knows no faint text, and nobody here blinks: SGR 2 becomes 5. 38 and 48 have a 2 of their own."""
    numbers = found.group(1).split(b";")
    if b"38" in numbers or b"48" in numbers:
        return found.group(0)
    return b"\x1b[" + b";".join(b"5" if number == b"2" else number for number in numbers) + b"m"


def _lines(screen: pyte.Screen) -> tuple[tuple[Run, ...], ...]:
    lines = [_runs(screen, row) for row in range(screen.lines)]
    while lines and not lines[-1]:
        lines.pop()
    return tuple(lines)


def _text(line: Sequence[Run]) -> str:
    text = ""
    for run in line:
        text = text.ljust(run.column) + run.text
    return text


def _runs(screen: pyte.Screen, row: int) -> tuple[Run, ...]:
    """A line's runs; spaces between them belong to none, for a space has no look here."""
    runs: list[Run] = []
    for column in range(screen.columns):
        cell = screen.buffer[row][column]
        if cell.data == " ":
            continue
        run = Run(column, cell.data, cell.fg, cell.bold, cell.blink)
        last = runs[-1] if runs else None
        if last is not None and _continues(last, run):
            gap = " " * (column - last.column - len(last.text))
            runs[-1] = Run(last.column, last.text + gap + run.text, last.color, last.bold, last.dim)
        else:
            runs.append(run)
    return tuple(runs)


def _continues(last: Run, run: Run) -> bool:
    same = (last.color, last.bold, last.dim) == (run.color, run.bold, run.dim)
    return same and run.column - last.column - len(last.text) <= 1
