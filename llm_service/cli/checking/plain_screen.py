"""Findings for a pipe: one line each, as text or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Self, TextIO

from llm_service.cli.checking.finding import Finding, Verdict
from llm_service.cli.checking.screen import duration, summary_line
from llm_service.cli.printable import json_line, printable_line


class PlainScreen:
    """The verdict first, for ``grep``; what to do behind the arrow."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing was changed."""

    def talk(self, line: str) -> None:
        print(printable_line(line), file=self._err, flush=True)

    def found(self, name: str, findings: Sequence[Finding]) -> None:
        for finding in findings:
            print(plain_line(finding), file=self._out, flush=True)

    def summary(self, findings: Sequence[Finding]) -> None:
        self._out.flush()
        print(summary_line(findings), file=self._err, flush=True)


class JsonScreen(PlainScreen):
    """One object a line."""

    def found(self, name: str, findings: Sequence[Finding]) -> None:
        for finding in findings:
            print(finding_json(finding), file=self._out, flush=True)


def plain_line(finding: Finding) -> str:
    """``FAILED   kafka     topic tasks_llm: there is no such topic → create it …``."""
    verdict = "FAILED" if finding.verdict is Verdict.FAILED else finding.verdict.value
    line = f"{verdict:<7}  {finding.component:<8}  {finding.subject}: {finding.seen}"
    if finding.seconds is not None:
        line += f" ({duration(finding.seconds)})"
    if finding.remedy is not None:
        line += f" → {finding.remedy}"
    return printable_line(line)


def finding_json(finding: Finding) -> str:
    """The finding as it is, seconds to the millisecond."""
    fields = asdict(finding)
    fields["seconds"] = None if finding.seconds is None else round(finding.seconds, 4)
    return json_line(fields)
