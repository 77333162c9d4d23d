"""The course of a demonstration: parts up, tasks in, statuses and answers out, parts away."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from llm_service.cli.demonstration.answering import Answering, find_answering
from llm_service.cli.demonstration.board import Board, Row
from llm_service.cli.demonstration.documents import DemoDocument
from llm_service.cli.demonstration.keeping import Keeping
from llm_service.cli.demonstration.parts import BUCKET, STATUS_TOPIC, TASKS_TOPIC, EmbeddedParts
from llm_service.cli.demonstration.screen import Opening, Screen
from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.interrupt import Interrupt
from llm_service.cli.submission.order import TaskOrder
from llm_service.cli.submission.sending import sending
from llm_service.cli.watching.reader import StatusReader
from llm_service.cli.watching.start import Edge
from llm_service.container.kafka import connection_config, topic_names
from llm_service.errors import (
    BootstrapFailed,
    DependencyUnavailable,
    FileError,
    PromptCatalogueInvalid,
    PromptUnknown,
    ProviderError,
    ServiceError,
    SettingsInvalid,
)
from llm_service.kafka.topics import find_status_topic
from llm_service.prompts.catalogue import Catalogue
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings
from llm_service.settings.part import load_providers

# A small model on two cores takes a minute or two for each of the samples, one after the other.
_DEADLINE = timedelta(minutes=15)
# The worker itself ends a task at its deadline; this long after nothing is to be expected any more.
_PATIENCE = timedelta(seconds=30)
_BROKER_S = 10.0
_READ_S = 0.1
# The embedded broker looks for something new only when a fetch ends.
_FETCH_WAIT_MS = 20


@dataclass(frozen=True, slots=True)
class Play:
    """What is shown, and how."""

    documents: Sequence[DemoDocument]
    env_file: Path
    is_kept: bool
    clock: Clock


async def play(wanted: Play, screen: Screen) -> int:
    """The exit code. Whatever happens, no process and no folder is left."""
    interrupt = Interrupt()
    parts = EmbeddedParts(wanted.clock, random.SystemRandom())
    try:
        code = await interrupt.bound(_perform(wanted, parts, screen))
    finally:
        try:
            screen.close()
        finally:
            await parts.close()
    return code if interrupt.exit_code is None else interrupt.exit_code


async def _perform(wanted: Play, parts: EmbeddedParts, screen: Screen) -> int:
    try:
        return await Performance(wanted, parts, screen).run()
    except ServiceError as error:
        screen.complain(error.message, parts.keep_log())
        return _code_of(error)


def _code_of(error: ServiceError) -> ExitCode:
    if isinstance(error, SettingsInvalid | PromptCatalogueInvalid | ProviderError):
        return ExitCode.CONFIG
    if isinstance(error, BootstrapFailed | DependencyUnavailable | FileError):
        return ExitCode.UNAVAILABLE
    return ExitCode.INTERNAL


class Performance:
    """One run on parts that somebody else opens and closes around it."""

    def __init__(self, wanted: Play, parts: EmbeddedParts, screen: Screen) -> None:
        self._wanted = wanted
        self._parts = parts
        self._screen = screen
        self._board = Board()
        self._catalogue = Catalogue.load(None)

    async def run(self) -> int:
        """Raises ServiceError for what keeps the demonstration from going on."""
        answering = await self._find_answering()
        await self._parts.open()
        settings = self._settings(answering)
        self._screen.opening(
            Opening(
                answering,
                settings.warnings(),
                self._parts.bootstrap,
                self._parts.bucket_folder,
                len(self._wanted.documents),
            )
        )
        reader = await self._reader(settings)
        try:
            await reader.open(Edge.BEGINNING)
            await self._parts.start_worker(settings)
            await self._submit(settings)
            await self._follow_to_the_end(reader)
            return await self._conclude(reader)
        finally:
            await reader.close()

    async def _find_answering(self) -> Answering:
        settings = load_providers({}, self._wanted.env_file)
        for name, group in (("GigaChat", settings.gigachat), ("Ollama", settings.ollama)):
            if group.configured:
                self._screen.looking(name)
        for name in settings.clouds:
            self._screen.looking(name)
        return await find_answering(settings, self._wanted.clock, random.SystemRandom())

    def _settings(self, answering: Answering) -> Settings:
        fixed = {**self._parts.fixed_settings(), "LLM_PROVIDER": answering.name}
        return load_providers(fixed, self._wanted.env_file)

    async def _reader(self, settings: Settings) -> StatusReader:
        connection = connection_config(settings)
        topic = await asyncio.to_thread(find_status_topic, connection, topic_names(settings), _BROKER_S)
        return StatusReader(connection, topic, self._wanted.clock, fetch_wait_ms=_FETCH_WAIT_MS)

    async def _submit(self, settings: Settings) -> None:
        deadline = self._wanted.clock.now() + _DEADLINE
        async with sending(settings, self._wanted.clock, lambda: str(uuid.uuid4())) as sender:
            for document in self._wanted.documents:
                stored = await sender.upload(document.source)
                began = self._wanted.clock.monotonic()
                order = TaskOrder(prompt_id=document.prompt_id, deadline_at=deadline)
                sent = await sender.send(order, [stored])
                row = Row(sent.task_id, document.name, self._prompt_name(document.prompt_id), began)
                self._board.sent(row)
                self._screen.changed(self._board, row)

    def _prompt_name(self, prompt_id: int) -> str:
        try:
            return f"{prompt_id} {self._catalogue.get(prompt_id).name}"
        except PromptUnknown:
            return str(prompt_id)

    async def _follow_to_the_end(self, reader: StatusReader) -> None:
        end = self._wanted.clock.monotonic() + (_DEADLINE + _PATIENCE).total_seconds()
        while not self._board.is_done and self._wanted.clock.monotonic() < end:
            await self._follow(reader)

    async def _follow(self, reader: StatusReader) -> None:
        for arrival in await reader.read(_READ_S):
            row = self._board.place(arrival)
            if row is not None:
                self._screen.changed(self._board, row)
        self._parts.check()

    async def _conclude(self, reader: StatusReader) -> int:
        self._screen.results(self._board)
        self._screen.summary(self._board)
        summary = self._board.summary()
        if self._wanted.is_kept:
            self._screen.keeping(self._keeping())
            while True:
                await self._follow(reader)
        if summary.succeeded == summary.tasks:
            return ExitCode.OK
        self._screen.complain(
            f"{summary.tasks - summary.succeeded} of {summary.tasks} did not succeed.", self._parts.keep_log()
        )
        return ExitCode.FAILED

    def _keeping(self) -> Keeping:
        return Keeping(
            bootstrap=self._parts.bootstrap,
            topic=TASKS_TOPIC,
            status_topic=STATUS_TOPIC,
            bucket=BUCKET,
            bucket_folder=self._parts.bucket_folder,
            example=self._wanted.documents[0].source.path,
            example_prompt=self._wanted.documents[0].prompt_id,
        )
