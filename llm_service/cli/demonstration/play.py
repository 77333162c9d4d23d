"""The course of a demonstration: parts up, tasks in, statuses and answers out, parts away."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from llm_service.cli.demonstration.answering import Answering, find_answering
from llm_service.cli.demonstration.arrivals import StatusReader
from llm_service.cli.demonstration.board import Board, Row
from llm_service.cli.demonstration.documents import DemoDocument
from llm_service.cli.demonstration.keeping import Keeping
from llm_service.cli.demonstration.parts import BUCKET, STATUS_TOPIC, TASKS_TOPIC, EmbeddedParts
from llm_service.cli.demonstration.screen import Opening, Screen
from llm_service.cli.demonstration.submission import Store, Submitter
from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.interrupt import Interrupt
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
from llm_service.prompts.catalogue import Catalogue
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings
from llm_service.settings.part import load_providers

# A small model on two cores takes a minute or two for each of the samples, one after the other.
_DEADLINE = timedelta(minutes=15)
# The worker itself ends a task at its deadline; this long after nothing is to be expected any more.
_PATIENCE = timedelta(seconds=30)
_ASSIGN_S = 10.0


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
        self._paths: list[str] = []

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
        reader = StatusReader(self._parts.bootstrap, STATUS_TOPIC, self._wanted.clock)
        try:
            reader.assign(_ASSIGN_S)
            await self._parts.start_worker(settings)
            await self._submit()
            await self._follow_to_the_end(reader)
            return await self._conclude(reader)
        finally:
            reader.close()

    async def _find_answering(self) -> Answering:
        settings = load_providers({}, self._wanted.env_file)
        for name, group in (("GigaChat", settings.gigachat), ("Ollama", settings.ollama)):
            if group.configured:
                self._screen.looking(name)
        return await find_answering(settings, self._wanted.clock, random.SystemRandom())

    def _settings(self, answering: Answering) -> Settings:
        fixed = {**self._parts.fixed_settings(), "LLM_PROVIDER": answering.name}
        return load_providers(fixed, self._wanted.env_file)

    async def _submit(self) -> None:
        store = Store(self._parts.bucket_folder, BUCKET)
        submitter = Submitter(self._parts.bootstrap, TASKS_TOPIC, store, lambda: str(uuid.uuid4()))
        deadline = self._wanted.clock.now() + _DEADLINE
        for document in self._wanted.documents:
            try:
                path = await submitter.upload(document)
            except OSError as error:
                raise FileError(
                    f"{document.name} can't be copied into the store: {error.strerror}"
                ) from error
            began = self._wanted.clock.monotonic()
            task_id = await submitter.send(document, path, deadline)
            row = Row(task_id, document.name, self._prompt_name(document.prompt_id), began)
            self._paths.append(path)
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
        for arrival in await reader.read():
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
            example_path=self._paths[0],
            example_prompt=self._wanted.documents[0].prompt_id,
        )
