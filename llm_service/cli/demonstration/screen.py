"""What a demonstration can show, whatever it is shown on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from llm_service.cli.demonstration.answering import Answering
from llm_service.cli.demonstration.board import Board, Row
from llm_service.cli.demonstration.documents import DOCUMENTS_EXTRA, reads_documents
from llm_service.cli.demonstration.keeping import Keeping


@dataclass(frozen=True, slots=True)
class Opening:
    """The first lines."""

    answering: Answering
    warnings: tuple[str, ...]
    bootstrap: str
    bucket_folder: Path
    documents: int


class Screen(Protocol):
    """Takes what happens in its order. Raises OSError when nobody reads any more."""

    def looking(self, provider: str) -> None:
        """A configured provider is asked whether it is there."""

    def opening(self, opening: Opening) -> None: ...

    def changed(self, board: Board, row: Row) -> None:
        """A task was sent, or a status of it arrived."""

    def results(self, board: Board) -> None:
        """All tasks have ended, or nothing more is waited for."""

    def summary(self, board: Board) -> None: ...

    def keeping(self, keeping: Keeping) -> None:
        """From now on ``changed`` is about tasks of others too, and shows an answer as soon as it is there."""

    def complain(self, message: str, log: Path | None) -> None:
        """Something did not work; ``log`` is the worker's log, when there is one to look at."""

    def close(self) -> None:
        """Leave the terminal as it was found."""


def honest_lines(answering: Answering) -> list[str]:
    """Who answers, and why nobody else."""
    lines = [
        f"{passed.name} is configured but does not answer: {passed.reason}"
        for passed in answering.passed_over
    ]
    if not reads_documents():
        lines.append(f"The extra {DOCUMENTS_EXTRA} is not installed: PDF, DOCX and the like can't be read.")
    if answering.is_llm:
        return [*lines, f"Answers come from {answering.name}, model {answering.model}."]
    lines.append(
        "Answers come from the built-in provider 'extractive'. It is no LLM: it picks sentences, dates, amounts "
        "and fields out of the text by rules."
    )
    if not answering.passed_over:
        lines.append("For an LLM set GIGACHAT_ACCESS_TOKEN or OLLAMA_MODEL, in the environment or in .env.")
    return lines


def summary_line(board: Board) -> str:
    """``5 tasks: 4 succeeded, 1 failed; median 0.31 s, longest 1.92 s; 2.6 tasks a second``."""
    summary = board.summary()
    outcomes = [f"{summary.succeeded} succeeded"]
    if summary.failed:
        outcomes.append(f"{summary.failed} failed")
    if summary.unanswered:
        outcomes.append(f"{summary.unanswered} without an answer")
    parts = [f"{summary.tasks} task{'s' if summary.tasks != 1 else ''}: {', '.join(outcomes)}"]
    if summary.median_s is not None and summary.max_s is not None:
        parts.append(f"median {summary.median_s:.2f} s, longest {summary.max_s:.2f} s")
    if summary.throughput is not None:
        parts.append(f"{summary.throughput:.1f} tasks a second")
    return "; ".join(parts)
