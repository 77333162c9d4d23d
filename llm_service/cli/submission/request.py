"""A command line of ``submit`` made an order: everything that can be wrong is found before anything is sent."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path

from llm_service.cli.printable import printable_line
from llm_service.cli.submission.order import TaskOrder
from llm_service.cli.submission.sender import stored_file
from llm_service.cli.submission.source import SourceFile, SourceUnusable
from llm_service.cli.watching.start import parse_moment
from llm_service.contract.message import identify, parse_task
from llm_service.contract.strict_json import loads_text
from llm_service.contract.task import Task
from llm_service.errors import FilePathRefused, InvalidMessage, PromptCatalogueInvalid, PromptUnknown
from llm_service.files.paths import Buckets, candidates
from llm_service.prompts.catalogue import SHIPPED, Catalogue
from llm_service.settings import Settings
from llm_service.tasks.plan import AUTO, PlanDefaults, make_plan

# Stands for the ids that are made when something is sent.
_SOME_ID = str(uuid.UUID(int=0))
_NAMED = 3


class RequestWrong(Exception):
    """What was asked for can't be sent; the text has a line for each thing that is wrong."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One task to be sent."""

    sources: tuple[SourceFile, ...]
    order: TaskOrder
    task_id: str | None = None

    @property
    def label(self) -> str:
        """What it is called for people."""
        names = [source.name for source in self.sources]
        if len(names) > _NAMED:
            names = [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} more"]
        return ", ".join(names) or "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """The options that say what is asked for, as they were typed."""

    prompt: str | None = None
    prompt_id: int | None = None
    system_prompt: str | None = None
    text: str | None = None
    provider: str | None = None
    model: str | None = None
    schema: str | None = None
    params: Sequence[str] = ()
    priority: str | None = None
    deadline: str | None = None
    metadata: Sequence[str] = ()


def read_order(options: TaskOptions, now: datetime) -> TaskOrder:
    """The order that the options make. Raises RequestWrong for what can't be read."""
    _refuse_what_is_no_text(options)
    if options.prompt is not None and options.prompt_id is not None:
        raise RequestWrong("--prompt and --prompt-id: a worker would take the first alone, so give one")
    try:
        deadline_at = parse_moment(options.deadline, now) if options.deadline is not None else None
    except ValueError as error:
        raise RequestWrong(f"--deadline {error}") from error
    return TaskOrder(
        prompt_id=options.prompt_id,
        prompt=options.prompt,
        system_prompt=options.system_prompt,
        text=options.text,
        provider=options.provider,
        model=options.model,
        parameters=read_pairs("--param", options.params, as_json=True),
        schema=read_schema(options.schema) if options.schema is not None else None,
        priority=_number_or_word(options.priority),
        deadline_at=deadline_at,
        metadata=read_pairs("--metadata", options.metadata, as_json=False),
    )


def _refuse_what_is_no_text(options: TaskOptions) -> None:
    """Bytes of the command line that are no UTF-8 would come to the model as question marks."""
    for field in fields(options):
        value = getattr(options, field.name)
        texts = [value] if isinstance(value, str) else value if isinstance(value, tuple | list) else []
        if not all(_is_text(text) for text in texts):
            raise RequestWrong(f"--{field.name.rstrip('s').replace('_', '-')} is no text in UTF-8")


def read_sources(paths: Sequence[Path], max_bytes: int) -> tuple[SourceFile, ...]:
    """The files, each looked at. Raises RequestWrong, naming all that can't be used."""
    found: list[SourceFile] = []
    wrong: list[str] = []
    for path in paths:
        try:
            source = SourceFile.of(path)
        except SourceUnusable as error:
            wrong.append(str(error))
            continue
        shown = printable_line(source.name)
        if source.size == 0:
            wrong.append(f"{shown} is empty")
        elif source.size > max_bytes:
            wrong.append(
                f"{shown} is {source.size:,} bytes, and a worker takes {max_bytes:,}: raise FILE_MAX_BYTES there and here"
            )
        found.append(source)
    if wrong:
        raise RequestWrong("\n".join(wrong))
    return tuple(found)


def read_pairs(option: str, texts: Sequence[str], *, as_json: bool) -> dict[str, object]:
    """``k=v`` options; with ``as_json`` a value that is JSON is taken as such, any other as text. Raises RequestWrong."""
    pairs: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise RequestWrong(f"{option} {text!r}: NAME=VALUE is expected")
        pairs[name] = _json_or_text(value) if as_json else value
    return pairs


def read_schema(text: str) -> dict[str, object]:
    """A JSON Schema, written out or in a file. Raises RequestWrong; whether it is a schema at all is checked later."""
    where = "--schema"
    if not text.lstrip().startswith("{"):
        where = f"--schema {printable_line(text)}"
        try:
            text = Path(text).read_text("utf-8-sig")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise RequestWrong(f"{where} can't be read: {reason}") from error
    try:
        schema = loads_text(text)
    except InvalidMessage as error:
        raise RequestWrong(f"{where}: {error.message}") from error
    if not isinstance(schema, dict):
        raise RequestWrong(f'{where}: a JSON Schema is an object, such as {{"type": "object"}}')
    return schema


def check(wanted: Wanted, settings: Settings, now: datetime) -> list[str]:
    """Whatever a worker would refuse. Raises RequestWrong; what only some workers would refuse is returned."""
    if wanted.order.deadline_at is not None and wanted.order.deadline_at <= now:
        raise RequestWrong("--deadline is past already")
    bucket = settings.minio.bucket_name
    files = [stored_file(source, bucket, _SOME_ID) for source in wanted.sources]
    task_id = _SOME_ID if wanted.task_id is None else wanted.task_id
    if not _is_text(task_id):
        raise RequestWrong("--task-id is no text in UTF-8")
    record = wanted.order.record(task_id, _SOME_ID, files, now)
    place = (settings.kafka.tasks_topic, 0, 0)
    if identify(record.key, record.value, record.headers, *place).task_id != task_id:
        raise RequestWrong("--task-id must be printable text of at most 255 characters, best a UUID")
    if record.size > settings.kafka.message_max_bytes:
        raise RequestWrong(
            f"the task is a message of {record.size:,} bytes, and KAFKA_MESSAGE_MAX_BYTES is "
            f"{settings.kafka.message_max_bytes:,}: put a long text into a file"
        )
    try:
        for file in files:
            candidates(file.storage_path, Buckets(bucket))
        task = parse_task(record.key, record.value, record.headers, *place)
        if task is None:
            raise AssertionError("a record of ours is a task")
        _check_plan(task, now)
    except (FilePathRefused, InvalidMessage) as error:
        raise RequestWrong(error.message) from error
    return [*_prompt_doubts(task, settings), *_provider_doubts(task)]


def _check_plan(task: Task, now: datetime) -> None:
    """With words of its own, so that no catalogue is asked: what is left to be refused is the schema."""
    own = replace(task, prompt=task.prompt or "-")
    make_plan(own, Catalogue({}, SHIPPED), {task.provider or AUTO}, PlanDefaults(0, AUTO), now)


def _prompt_doubts(task: Task, settings: Settings) -> list[str]:
    """A worker may have another catalogue than this machine."""
    if task.prompt is not None:
        return []
    default = settings.worker.default_prompt_id
    try:
        Catalogue.load(settings.worker.prompts_file).get(
            default if task.prompt_id is None else task.prompt_id
        )
    except PromptUnknown as error:
        return [f"{error.message} A worker with this catalogue will refuse the task."]
    except PromptCatalogueInvalid as error:
        return [f"Whether there is such a prompt can't be told here. {error.message}"]
    return []


def _provider_doubts(task: Task) -> list[str]:
    known = sorted(entry.name for entry in entry_points(group="llm_service.providers"))
    if task.provider in {None, AUTO, *known}:
        return []
    return [f"No provider {task.provider!r} is installed here; installed are: {', '.join(known)}."]


def _json_or_text(text: str) -> object:
    try:
        return loads_text(text)
    except InvalidMessage:
        return text


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number_or_word(text: str | None) -> float | str | None:
    """The contract's own words stay words; whether it is one of them is checked with the rest."""
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return text
    # Infinity and NaN are no numbers of JSON: they are refused as the words they are.
    return number if number is None or math.isfinite(number) else text
