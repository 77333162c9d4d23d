"""Where the log goes: the terminal, and ``LOG_DIR`` when it is given.

Everything goes through loguru, the standard library's loggers too. Writing is immediate and on the caller's
thread: a line costs some 15 µs with the terminal alone, and none is lost in a crash.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from loguru import logger

from llm_service.observability.log_line import SHORTEST_HIDDEN_CHARS, hide, json_line, text_line

if TYPE_CHECKING:
    from loguru import Record

SYSTEM_ROTATION = "50 MB"
ERRORS_ROTATION = "10 MB"
KEPT_FILES = 5
"""With the rotations above at most 6 × 50 + 6 × 10 MB, a third of the 1 GB of disk the deployment asks for."""

QUIET_LOGGERS = ("httpx", "httpcore", "urllib3", "h11", "asyncio", "gigachat", "uvicorn")
"""They tell of every request at INFO or DEBUG, with addresses and headers; from them only warnings are heard."""

_LINE = "_line"


@dataclass(frozen=True, slots=True)
class LogPolicy:
    """What is logged, how, and where to. ``secrets`` are blotted out wherever they would appear."""

    level: str = "INFO"
    directory: Path | None = None
    json_lines: bool = False
    secrets: Sequence[str] = field(default=(), repr=False)


def configure(policy: LogPolicy, stream: TextIO | None = None) -> None:
    """From now on log by this policy; ``stream`` is the terminal (stderr when None).

    A folder that can't be written is a warning: volumes come owned by root, and a service that works is
    worth more than its log file.
    """
    secrets = tuple(secret for secret in policy.secrets if len(secret) >= SHORTEST_HIDDEN_CHARS)
    render = json_line if policy.json_lines else text_line

    def compose(record: Record) -> None:
        # Once for all sinks.
        record["extra"][_LINE] = hide(render(record), secrets)

    logger.remove()
    logger.configure(patcher=compose)
    # diagnose would print local variables, tokens among them; the line holds the bounded traceback already.
    logger.add(
        stream or sys.stderr,
        level=policy.level,
        format=_composed,
        colorize=False,
        diagnose=False,
        backtrace=False,
    )
    _route_standard_logging(policy.level)
    if policy.directory is not None:
        _add_files(policy.directory, policy.level)


def shutdown() -> None:
    """Close the files and give the standard library's loggers back."""
    logger.remove()
    logger.configure(patcher=lambda record: None)
    logging.captureWarnings(capture=False)
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _ToLoguru)]


class _ToLoguru(logging.Handler):
    """Passes what the standard library's loggers say on."""

    def emit(self, record: logging.LogRecord) -> None:
        known = record.levelname in logging.getLevelNamesMapping()
        level = record.levelname if known and record.levelname != "NOTSET" else record.levelno
        # Without arguments: loguru would format the message again, and braces in it would raise KeyError.
        logger.opt(exception=record.exc_info).bind(logger=record.name).log(level, record.getMessage())


def _composed(record: Record) -> str:
    return "{extra[" + _LINE + "]}\n"


def _route_standard_logging(level: str) -> None:
    logging.basicConfig(handlers=[_ToLoguru()], level=level, force=True)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    logging.captureWarnings(capture=True)


def _add_files(folder: Path, level: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _add_file(folder / "system.log", level, SYSTEM_ROTATION)
        _add_file(folder / "errors.log", "ERROR", ERRORS_ROTATION)
    except OSError as error:
        logger.bind(folder=str(folder), reason=str(error)).warning(
            "log_folder_unwritable: logging to the terminal only; make LOG_DIR writable for this user"
        )


def _add_file(path: Path, level: str, rotation: str) -> None:
    logger.add(
        path,
        level=level,
        format=_composed,
        rotation=rotation,
        retention=KEPT_FILES,
        encoding="utf-8",
        diagnose=False,
        backtrace=False,
    )
