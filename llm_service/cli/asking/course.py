"""The course of ``ask``: files become documents, one question is asked, its answer is held to the schema."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from llm_service import events
from llm_service.cli.asking.screen import Screen
from llm_service.cli.exit_codes import ExitCode
from llm_service.container.files import build_converter
from llm_service.container.providers import build_guards
from llm_service.errors import InvalidField, ProviderError, ProviderUnknown
from llm_service.files.content_type import detect
from llm_service.files.conversion.kinds import is_picture
from llm_service.files.pictures import redrawn
from llm_service.files.store import LocalFile
from llm_service.prompts.answer import check_answer, extract_json
from llm_service.prompts.schema import schema_problems
from llm_service.providers.ollama_pull import ModelComing
from llm_service.providers.protocol import (
    Capabilities,
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
from llm_service.tasks.reading import as_file, seen


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
        async with AsyncExitStack() as stack:
            documents = await _documents(question.files, provider.capabilities, settings, stack)
            screen.documents(documents)
            request = _request(question, documents, schema)
            answer = await _patiently(provider, request, screen, as_stream=question.as_stream)
    finally:
        await asyncio.gather(*(guard.close() for guard in guards.values()), return_exceptions=True)
    text = extract_json(answer.text) if schema is not None else answer.text
    screen.answer(provider.name, text, answer, is_shown=question.as_stream)
    check_answer(answer.text, schema)
    return ExitCode.OK


def _request(
    question: Question, documents: tuple[Document, ...], schema: JsonObject | None
) -> CompletionRequest:
    messages = [Message("system", question.system)] if question.system else []
    messages.append(Message("user", question.text))
    return CompletionRequest(
        tuple(messages), documents, question.model, response_schema=schema, nonce=secrets.token_hex(8)
    )


async def _patiently(
    provider: Provider, request: CompletionRequest, screen: Screen, *, as_stream: bool
) -> Completion:
    """A model that is on its way is waited for, and told how far it is."""
    while True:
        try:
            return await _answered(provider, request, screen, as_stream=as_stream)
        except ModelComing as coming:
            screen.note(coming.message)


async def _answered(
    provider: Provider, request: CompletionRequest, screen: Screen, *, as_stream: bool
) -> Completion:
    stream = provider.stream(request)
    if not as_stream:
        return await whole(stream, provider.name)
    async with aclosing(stream):
        async for part in stream:
            if isinstance(part, Completion):
                return part
            if isinstance(part, Delta):
                screen.piece(part.text)
            else:
                screen.again()
    raise ProviderError(f"The provider {provider.name} ended its answer without its end.")


async def _documents(
    files: Sequence[Path], able: Capabilities, settings: Settings, stack: AsyncExitStack
) -> tuple[Document, ...]:
    """Each as the provider takes it: a file as it is, a picture drawn anew, all else as text; as long as ``stack`` lasts."""
    local = [await asyncio.to_thread(_local, path) for path in files]
    if all(file.content_type in able.upload_types for file in local):
        return tuple([await as_file(file) for file in local])
    converter = build_converter(settings)
    stack.push_async_callback(converter.close)
    await converter.start()
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="llm-service-ask-")))
    documents: list[Document] = []
    for file in local:
        if able.vision and is_picture(file):
            pages = await stack.enter_async_context(redrawn(file, converter, folder))
            documents += [await as_file(page) for page in pages]
        elif file.content_type in able.upload_types | able.picture_types:
            documents.append(await as_file(file))
        else:
            text = await converter.to_text(file)
            documents.append(await seen(Document(file.name, file.content_type, text=text, size=file.size)))
    return tuple(documents)


def _local(path: Path) -> LocalFile:
    return LocalFile(path.name, path, path.stat().st_size, detect(path, path.name))


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
