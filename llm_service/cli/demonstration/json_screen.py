"""One JSON object a line, for programs."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from llm_service.cli.demonstration.board import Board, Row
from llm_service.cli.demonstration.keeping import Keeping
from llm_service.cli.demonstration.screen import Opening
from llm_service.cli.printable import json_line
from llm_service.cli.watching.answer import read_error
from llm_service.contract.status import Status


class JsonScreen:
    """Every line has ``event``: opening, status, result, summary, keeping, error."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shows_results = False

    def looking(self, provider: str) -> None:
        """Of no interest to a program."""

    def opening(self, opening: Opening) -> None:
        answering = opening.answering
        self._say(
            "opening",
            provider=answering.name,
            model=answering.model,
            is_llm=answering.is_llm,
            passed_over=[
                {"provider": passed.name, "reason": passed.reason} for passed in answering.passed_over
            ],
            warnings=list(opening.warnings),
            bootstrap=opening.bootstrap,
            bucket_folder=str(opening.bucket_folder),
            documents=opening.documents,
        )

    def changed(self, board: Board, row: Row) -> None:
        seconds = row.seconds if row.ended_at is not None else row.processing_after
        self._say(
            "status",
            task_id=row.task_id,
            document=row.document,
            status=row.status,
            name=row.status.name,
            seconds=round(seconds or 0.0, 4),
        )
        if self._shows_results and row.ended_at is not None:
            self._result(row)

    def results(self, board: Board) -> None:
        for row in board.rows:
            self._result(row)

    def summary(self, board: Board) -> None:
        summary = board.summary()
        self._say(
            "summary",
            tasks=summary.tasks,
            succeeded=summary.succeeded,
            failed=summary.failed,
            unanswered=summary.unanswered,
            median_seconds=summary.median_s,
            max_seconds=summary.max_s,
            tasks_per_second=summary.throughput,
        )

    def keeping(self, keeping: Keeping) -> None:
        self._shows_results = True
        self._say(
            "keeping",
            bootstrap=keeping.bootstrap,
            tasks_topic=keeping.topic,
            status_topic=keeping.status_topic,
            bucket_folder=str(keeping.bucket_folder),
            command=keeping.command(),
        )

    def complain(self, message: str, log: Path | None) -> None:
        self._say("error", message=message, log=str(log) if log is not None else None)

    def close(self) -> None:
        """Nothing was changed."""

    def _result(self, row: Row) -> None:
        failed = {"error_message": read_error(row.body)} if row.status is Status.FAILED else {}
        self._say(
            "result",
            task_id=row.task_id,
            document=row.document,
            status=row.status,
            body=dict(row.body),
            **failed,
        )

    def _say(self, event: str, **fields: object) -> None:
        print(json_line({"event": event, **fields}), file=self._out, flush=True)
