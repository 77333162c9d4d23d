"""From an id to its timeline."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.printable import printable_line
from llm_service.cli.reading_progress import reading_progress
from llm_service.cli.tracing.moment import Fate, Kind, Moment
from llm_service.cli.tracing.screen import show
from llm_service.cli.tracing.search import SILENCE_S, Sought, search
from llm_service.cli.tracing.verdict import Place, judge
from llm_service.container.kafka import connection_config, topic_names
from llm_service.container.ledger import postgres_config
from llm_service.errors import DependencyUnavailable
from llm_service.kafka import offset_map
from llm_service.kafka.adoption.standing import standing
from llm_service.kafka.topics import find_status_topic, require_tasks_topic
from llm_service.ledger.history import LedgerRow, history
from llm_service.settings import Settings


@dataclass(frozen=True, slots=True)
class Question:
    """What the user asks."""

    wanted: str
    """A task id or a trace id."""
    since: datetime | None
    timeout_s: float


async def trace(settings: Settings, question: Question, *, as_json: bool) -> int:
    """Print what is known. The exit code. Raises DependencyUnavailable, SettingsInvalid."""
    with reading_progress() as progress:
        limited = _limited(progress, question.timeout_s)
        sought = await asyncio.to_thread(_search, settings, question, limited)
    rows = await _rows(settings, _task_id(sought, question.wanted))
    moments = sorted((*sought.moments, *rows), key=_order)
    if not moments:
        print(printable_line(_nowhere(settings, question, sought)), file=sys.stderr)
        return ExitCode.FAILED
    place = await asyncio.to_thread(_place, settings, moments)
    show(moments, place, judge(moments, place, settings.kafka.group_id), as_json=as_json)
    return ExitCode.OK


def _search(settings: Settings, question: Question, progress: Callable[[str, int, int], None]) -> Sought:
    connection, names = connection_config(settings), topic_names(settings)
    require_tasks_topic(connection, names, SILENCE_S)
    status = find_status_topic(connection, names, SILENCE_S)
    topics = list(dict.fromkeys((names.tasks, status.name, *((names.retry,) if names.retry else ()))))
    return search(connection, topics, names.dead_letter, question.wanted, question.since, progress)


def _limited(progress: Callable[[str, int, int], None], timeout_s: float) -> Callable[[str, int, int], None]:
    until = time.monotonic() + timeout_s

    def tell(topic: str, read: int, total: int) -> None:
        if time.monotonic() > until:
            raise DependencyUnavailable(
                f"{topic} was not read within {timeout_s:g} s ({read:,} of {total:,} messages): give it more --timeout, or "
                "less to read by --since"
            )
        progress(topic, read, total)

    return tell


async def _rows(settings: Settings, task_id: str) -> list[Moment]:
    """A database that is away hides its rows and nothing else."""
    if not settings.postgres.enabled:
        return []
    try:
        return [_row(row) for row in await history(postgres_config(settings), task_id)]
    except DependencyUnavailable as error:
        print(printable_line(f"Without PostgreSQL's rows: {error.message}"), file=sys.stderr)
        return []


def _row(row: LedgerRow) -> Moment:
    columns = row.columns
    times = (columns.get(name) for name in ("timestamp", "recorded_at", "completed_at", "created_at"))
    told = next((text for text in times if isinstance(text, str)), None)
    what = str(columns.get("operation") or columns.get("status") or "row")
    small = {
        name: value
        for name, value in columns.items()
        if value is not None and name not in {"event_value", "event_headers", "event_key", "result"}
    }
    return Moment(Kind.ROW, what, _time(told), row.table, details=small)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _task_id(sought: Sought, wanted: str) -> str:
    """The task's own id where it was asked for by its trace id."""
    found = [moment.details.get("task_id") for moment in sought.moments]
    return next((task_id for task_id in found if isinstance(task_id, str)), wanted)


def _order(moment: Moment) -> tuple[datetime, str, int, int]:
    return moment.at or datetime.max.replace(tzinfo=UTC), moment.topic, moment.partition, moment.offset


def _place(settings: Settings, moments: list[Moment]) -> Place | None:
    """Where the group stands relative to the newest message of the task; None where that is not known."""
    tasks = [m for m in moments if m.kind is Kind.TASK and m.fate is Fate.COMMITTED]
    if not tasks:
        return None
    task = tasks[-1]
    with standing(connection_config(settings), settings.kafka.group_id, SILENCE_S) as group:
        known = group.position(task.topic, task.partition)
    if known.offset is None:
        return Place(task.partition, task.offset, None, is_mapped=False, before=0)
    try:
        runs = offset_map.read(known.metadata, known.offset).runs
    except offset_map.OffsetMapInvalid:
        runs = ()
    is_mapped = any(run.start <= task.offset < run.end for run in runs)
    finished = sum(min(run.end, task.offset) - run.start for run in runs if run.start < task.offset)
    before = max(0, task.offset - known.offset - finished)
    return Place(task.partition, task.offset, known.offset, is_mapped=is_mapped, before=before)


def _nowhere(settings: Settings, question: Question, sought: Sought) -> str:
    looked = ", ".join(f"{topic} ({what})" for topic, what in sought.looked.items())
    since = f" since {question.since:%Y-%m-%d %H:%M:%S}" if question.since is not None else ""
    tables = ", and in PostgreSQL" if settings.postgres.enabled else ""
    return (
        f"Nothing is known of {question.wanted}. Looked{since} in {looked}{tables}. Is the id right, are these the topics "
        "(llm-service config kafka), or is it older than what they keep?"
    )
