"""The course of ``ask``: files become documents, one question is asked, its answer is held to the schema."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from llm_service import events
from llm_service.cli.asking.screen import Screen
from llm_service.cli.exit_codes import ExitCode
from llm_service.container.files import build_converter
from llm_service.container.providers import build_guards
from llm_service.errors import InvalidField, ProviderError, ProviderUnknown
from llm_service.files.content_type import detect
from llm_service.files.store import LocalFile
from llm_service.prompts.answer import check_answer, extract_json
from llm_service.prompts.schema import schema_problems
from llm_service.providers.protocol import (
    Completion,
    CompletionRequest,
    Delta,
    Document,
    JsonObject,
    Message,
    Provider,
)
from llm_service.providers.reading import whole
from llm_service.resilience.clock import SystemClock
from llm_service.settings import Settings


@dataclass(frozen=True, slots=True)
class Question:
    """What was typed."""

    text: str
    files: tuple[Path, ...] = ()
    provider: str | None = None
    model: str | None = None
    system: str | None = None
    schema: Path | None = None
    as_stream: bool = False


async def ask(question: Question, settings: Settings, screen: Screen) -> int:
    """Ask it and show the answer. Raises ProviderError, FileError, AnswerError, InvalidField."""
    schema = await asyncio.to_thread(_schema, question.schema) if question.schema is not None else None
    guards = build_guards(settings, SystemClock(), random.Random(), _nobody)  # noqa: S311 - jitter, no secret
    try:
        name = question.provider or next(iter(guards))
        if name not in guards:
            raise ProviderUnknown(
                f"The provider {name[:60]!r} is not configured here; configured are: {', '.join(guards)}."
            )
        provider = guards[name].provider
        documents = await _documents(question.files, provider, settings)
        messages = [Message("system", question.system)] if question.system else []
        messages.append(Message("user", question.text))
        request = CompletionRequest(
            tuple(messages), documents, question.model, response_schema=schema, nonce=secrets.token_hex(8)
        )
        answer = await _answered(provider, request, screen, as_stream=question.as_stream)
    finally:
        await asyncio.gather(*(guard.close() for guard in guards.values()), return_exceptions=True)
    text = extract_json(answer.text) if schema is not None else answer.text
    screen.answer(provider.name, text, answer, is_shown=question.as_stream)
    check_answer(answer.text, schema)
    return ExitCode.OK


async def _answered(
    provider: Provider, request: CompletionRequest, screen: Screen, *, as_stream: bool
) -> Completion:
    stream = provider.stream(request)
    if not as_stream:
        return await whole(stream, provider.name)
    async with aclosing(stream):
        async for part in stream:
            if not isinstance(part, Delta):
                return part
            screen.piece(part.text)
    raise ProviderError(f"The provider {provider.name} ended its answer without its end.")


async def _documents(files: Sequence[Path], provider: Provider, settings: Settings) -> tuple[Document, ...]:
    """Each as the provider takes it: a file or picture as it is, all else as text."""
    taken = provider.capabilities.upload_types | provider.capabilities.picture_types
    local = [await asyncio.to_thread(_local, path) for path in files]
    if all(file.content_type in taken for file in local):
        return tuple(_as_file(file) for file in local)
    converter = build_converter(settings)
    await converter.start()
    try:
        return tuple(
            [
                _as_file(file)
                if file.content_type in taken
                else Document(
                    file.name, file.content_type, text=await converter.to_text(file), size=file.size
                )
                for file in local
            ]
        )
    finally:
        await converter.close()


def _local(path: Path) -> LocalFile:
    return LocalFile(path.name, path, path.stat().st_size, detect(path, path.name))


def _as_file(file: LocalFile) -> Document:
    return Document(file.name, file.content_type, path=file.path, size=file.size)


def _schema(path: Path) -> JsonObject:
    try:
        schema = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise InvalidField(f"{path} holds no JSON: {error}.") from None
    problems = schema_problems(schema) if isinstance(schema, dict) else ("is no object",)
    if problems:
        raise InvalidField(f"{path} is no usable JSON Schema: {'; '.join(problems[:3])}.")
    found: JsonObject = schema
    return found


def _nobody(event: events.Event) -> None:
    """A question asked by hand is in no log and no metric."""
