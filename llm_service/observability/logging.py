"""Where the log goes: the terminal, and ``LOG_DIR`` when it is given.

Everything goes through loguru, the standard library's loggers too. Who logs pays for making the line, some 20 µs;
a thread for each destination writes it within 20 ms. A stop and a crash in Python lose none; a process that is killed
loses those 20 ms.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from loguru import logger

from llm_service.events import current_task
from llm_service.observability.blotting import Blotter
from llm_service.observability.escaping import escape
from llm_service.observability.log_files import LogFiles
from llm_service.observability.log_line import json_line, own_line, text_line
from llm_service.observability.log_sink import Line, LogSink
from llm_service.observability.terminal import Terminal

if TYPE_CHECKING:
    from loguru import Message, Record

QUIET_LOGGERS = ("httpx", "httpcore", "urllib3", "h11", "asyncio", "gigachat", "uvicorn")
"""They tell of every request at INFO or DEBUG, with addresses and headers; from them only warnings are heard."""

FLUSH_S = 1.0
"""For each destination at the end: a thousand times what a disk needs, and short against a stop's grace period."""

_OPEN_S = 1.0

_UNWRITABLE = (
    "log_folder_unwritable: logging to the terminal only; make LOG_DIR writable for this user, "
    "with room on its disk"
)
_NOT_ROTATED = "log_not_rotated: the file grows on; make LOG_DIR writable for this user"

_LINE = "_line"
_PLAIN = "_plain"


@dataclass(frozen=True, slots=True)
class LogPolicy:
    """What is logged, how, and where to. ``secrets`` are blotted out wherever they would appear."""

    level: str = "INFO"
    directory: Path | None = None
    json_lines: bool = False
    secrets: Sequence[str] = field(default=(), repr=False)


class Log:
    """A log that is in force; loguru hands it every line."""

    def __init__(self, policy: LogPolicy, stream: TextIO) -> None:
        render = json_line if policy.json_lines else text_line

        def of_itself(message: str, fields: Mapping[str, object]) -> str:
            return own_line(render, message, fields)

        def notice(name: str, lines: int) -> str:
            return of_itself("log_lines_dropped", {"sink": name, "lines": lines})

        def not_written(name: str, error: OSError) -> None:
            other = self._files if name == self._terminal.name else self._terminal
            if other is not None:
                message = _UNWRITABLE if name == "files" else f"{name}_unwritable"
                other.tell(of_itself(message, _of(error)))

        def not_rotated(path: Path, error: OSError) -> None:
            self._terminal.tell(of_itself(_NOT_ROTATED, {"path": str(path), **_of(error)}))

        self._terminal = LogSink("terminal", Terminal(stream), not_written, notice)
        self._files = (
            LogSink("files", LogFiles(policy.directory, not_rotated), not_written, notice)
            if policy.directory is not None
            else None
        )

    def start(self) -> None:
        """Return when lines are written, or it is told why they are not."""
        for sink in self._sinks():
            sink.start(_OPEN_S)

    def write(self, message: Message) -> None:
        """Called by loguru, for one record at a time."""
        record = message.record
        extra = record["extra"]
        line = Line(extra[_LINE] + "\n", record["level"].no >= logging.ERROR)
        plain = extra.get(_PLAIN)
        self._terminal.put(line if plain is None else Line(plain + "\n"))
        if self._files is not None:
            self._files.put(line)

    def stop(self) -> None:
        """Called by loguru when it lets go of this log: write what waits."""
        for sink in self._sinks():
            sink.close(FLUSH_S)

    def wait_written(self, limit_s: float = FLUSH_S) -> bool:
        """Wait until all lines so far are written, at most ``limit_s`` seconds for each destination.

        Not ``flush``: loguru would call that after every line.
        """
        written = [sink.flush(limit_s) for sink in self._sinks()]
        return all(written)

    def dropped(self) -> Mapping[str, int]:
        """Lines that were lost, by where they should have gone: ``terminal``, ``files``."""
        return {sink.name: sink.dropped for sink in self._sinks()}

    def _sinks(self) -> tuple[LogSink, ...]:
        return (self._terminal,) if self._files is None else (self._terminal, self._files)


def configure(policy: LogPolicy, stream: TextIO | None = None) -> Log:
    """From now on log by this policy; ``stream`` is the terminal (stderr when None).

    A folder that can't be written is a warning: volumes come owned by root, and a service that works is
    worth more than its log file. At the interpreter's end loguru lets go of the log, and what waits is written;
    who leaves by ``os._exit`` calls ``shutdown`` before.
    """
    logger.remove()
    log = Log(policy, stream or sys.stderr)
    logger.configure(patcher=_composer(policy))
    # The line is made already; and what goes wrong here must not be told by loguru, which shows the whole record.
    logger.add(log, level=policy.level, format=_nothing, catch=False, diagnose=False, backtrace=False)
    _route_standard_logging(policy.level)
    log.start()
    return log


def shutdown() -> None:
    """Write what waits, at most a second for each destination, and give the standard library's loggers back."""
    logger.remove()
    logger.configure(patcher=lambda record: None)
    logging.captureWarnings(capture=False)
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _ToLoguru)]


def say(sentence: str) -> None:
    """A critical line that stands on the terminal as it is: what ends a start must be readable without a frame.

    In JSON lines it is framed like any other.
    """
    logger.bind(**{_PLAIN: sentence}).critical(sentence)


class _ToLoguru(logging.Handler):
    """Passes what the standard library's loggers say on.

    While a task is worked on their warnings and errors pass, no more: below that libraries tell of whole requests, and
    those hold the prompt and the document.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING and current_task() is not None:
            return
        known = record.levelname in logging.getLevelNamesMapping()
        level = record.levelname if known and record.levelname != "NOTSET" else record.levelno
        # A finalizer may warn while this very thread is inside loguru, which refuses to wait for itself.
        with contextlib.suppress(RuntimeError):
            # Without arguments: loguru would format the message again, and braces in it would raise KeyError.
            logger.opt(exception=record.exc_info).bind(logger=record.name).log(level, _message(record))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit their format are no reason to lose the line
        return str(record.msg)


def _composer(policy: LogPolicy) -> Callable[[Record], None]:
    render = json_line if policy.json_lines else text_line
    blot = Blotter(policy.secrets)

    def compose(record: Record) -> None:
        # Once for all destinations.
        extra: dict[str, Any] = record["extra"]
        plain = extra.pop(_PLAIN, None)
        extra[_LINE] = blot(render(record))
        if plain is not None and not policy.json_lines:
            extra[_PLAIN] = blot("\n".join(map(escape, plain.splitlines())))

    return compose


def _nothing(record: Record) -> str:
    return ""


def _of(error: OSError) -> Mapping[str, object]:
    reason = error.strerror or type(error).__name__
    return {"reason": reason, **({"path": str(error.filename)} if error.filename else {})}


def _route_standard_logging(level: str) -> None:
    logging.basicConfig(handlers=[_ToLoguru()], level=level, force=True)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    logging.captureWarnings(capture=True)
