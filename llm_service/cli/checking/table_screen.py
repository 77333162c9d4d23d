"""Findings on a terminal: a spinner on stderr while it looks, then one table."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from llm_service.cli.checking.finding import Finding, Verdict
from llm_service.cli.checking.screen import duration, summary_line
from llm_service.cli.printable import printable_line

_WORDS = {
    Verdict.OK: ("ok", "green"),
    Verdict.WARNING: ("warning", "yellow"),
    Verdict.FAILED: ("FAILED", "bold red"),
    Verdict.SKIPPED: ("skipped", "dim"),
}


class TableScreen:
    """Everything goes through ``Text``: rich's own markup in a broker's words stays text."""

    def __init__(self, console: Console, errors: Console, names: Sequence[str]) -> None:
        self._console = console
        self._errors = errors
        self._left = list(names)
        self._status = Status("", console=errors) if errors.is_terminal else None

    @classmethod
    def on_terminal(cls, names: Sequence[str]) -> TableScreen:
        """On this process's own stdout and stderr."""
        return cls(Console(highlight=False), Console(stderr=True, highlight=False), names)

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.update(self._waiting())
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def talk(self, line: str) -> None:
        self._errors.print(Text(printable_line(line), "yellow"))

    def found(self, name: str, findings: Sequence[Finding]) -> None:
        self._left.remove(name)
        if self._status is not None:
            self._status.update(self._waiting())

    def summary(self, findings: Sequence[Finding]) -> None:
        if self._status is not None:
            self._status.stop()
        self._console.print(findings_table(findings))
        bad = any(finding.verdict is Verdict.FAILED for finding in findings)
        self._errors.print(Text(summary_line(findings), "bold red" if bad else "bold green"))

    def _waiting(self) -> Text:
        return Text(f"Looking at {', '.join(self._left)} …", "dim")


def findings_table(findings: Sequence[Finding]) -> Table:
    """One row a finding, what to do below what was seen."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True, style="bold")
    table.add_column("Looked at", overflow="fold", max_width=34)
    table.add_column("", no_wrap=True)
    table.add_column("Time", justify="right", no_wrap=True, style="dim")
    table.add_column("Seen, and what to do", overflow="fold", ratio=1)
    before = ""
    for finding in findings:
        if before and finding.component != before:
            table.add_section()
        name = finding.component if finding.component != before else ""
        before = finding.component
        word, style = _WORDS[finding.verdict]
        time = "" if finding.seconds is None else duration(finding.seconds)
        table.add_row(
            name, Text(printable_line(finding.subject)), Text(word, style), time, _seen(finding, style)
        )
    return table


def _seen(finding: Finding, style: str) -> Text:
    text = Text(printable_line(finding.seen), "dim" if finding.verdict is Verdict.SKIPPED else "")
    if finding.remedy is not None:
        text.append("\n→ ", style)
        text.append(printable_line(finding.remedy), style)
    return text
