"""How findings are shown: a table on a terminal, lines in a pipe, JSON for programs."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from llm_service.cli.checking.finding import Finding, Verdict

_TABLE_COLUMNS = 80
"""Below it a table folds addresses and sentences into columns of a few letters."""


class Screen(Protocol):
    """Shows as it comes; what it has on the terminal for the time being is taken away on leaving."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def talk(self, line: str) -> None:
        """Something beside the findings, on stderr."""

    def found(self, name: str, findings: Sequence[Finding]) -> None:
        """One dependency has been looked at."""

    def summary(self, findings: Sequence[Finding]) -> None:
        """All have."""


def screen_for(names: Sequence[str], *, as_json: bool) -> Screen:
    """The screen that fits where stdout goes."""
    for stream in (sys.stdout, sys.stderr):
        # What a broker says may hold what a terminal of another encoding can't show.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    if as_json or not sys.stdout.isatty() or _is_narrow():
        from llm_service.cli.checking.plain_screen import JsonScreen, PlainScreen

        return JsonScreen(sys.stdout, sys.stderr) if as_json else PlainScreen(sys.stdout, sys.stderr)
    from llm_service.cli.checking.table_screen import TableScreen

    return TableScreen.on_terminal(names)


def _is_narrow() -> bool:
    """Whether a table would leave its last two columns a few letters each: then whole lines are better read."""
    return shutil.get_terminal_size().columns < _TABLE_COLUMNS


def summary_line(findings: Sequence[Finding]) -> str:
    """``2 failed, 1 warning, 14 ok``."""
    count = Counter(finding.verdict for finding in findings)
    words = [
        (count[Verdict.FAILED], "failed"),
        (count[Verdict.WARNING], "warning" if count[Verdict.WARNING] == 1 else "warnings"),
        (count[Verdict.OK], "ok"),
        (count[Verdict.SKIPPED], "skipped"),
    ]
    return ", ".join(f"{number} {word}" for number, word in words if number) or "nothing to look at"


def duration(seconds: float) -> str:
    """``3 ms``, ``1.2 s``."""
    if seconds < 0.001:
        return "<1 ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
