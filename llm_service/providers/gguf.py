"""Models in GGUF files on this machine, by the engine in ``llm_service/engine``."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path

from llm_service.engine.engine import BegunAgain, EngineEvent
from llm_service.engine.frames import Count, Counted, Embed, Generate, Report, Unenforced, Vector
from llm_service.engine.machine import memory_for_models, threads_for_models
from llm_service.engine.order import Ended, Ending, GrammarCost, Piece, Refusal, Refused
from llm_service.engine.shelf import Shelf, ShelfPolicy
from llm_service.errors import (
    ContextTooLong,
    ModelNotFound,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderServerError,
    ProviderTimeout,
    RequestRejected,
    SettingsInvalid,
)
from llm_service.events import EngineAnswered, EngineChanged, EngineState, Trouble
from llm_service.providers.ability import refuse_unable
from llm_service.providers.gguf_request import command_of
from llm_service.providers.options import number, text
from llm_service.providers.protocol import (
    Anew,
    Capabilities,
    Completion,
    CompletionRequest,
    Delta,
    Embeddings,
    FinishReason,
    Held,
    StreamPart,
    Usage,
)
from llm_service.providers.registry import ProviderContext
from llm_service.providers.stopwatch import Stopwatch
from llm_service.resilience.clock import Clock

_NAME = "gguf"
_MB = 1_000_000


class TooLate(ProviderTimeout):
    """The task's own deadline passed while it waited: that says nothing of the engine."""

    trips = False


_ERRORS: dict[Refusal, type[ProviderError]] = {
    Refusal.TOO_LONG: ContextTooLong,
    Refusal.LATE: TooLate,
    Refusal.GRAMMAR: RequestRejected,
    Refusal.PARAMETER: RequestRejected,
    Refusal.ENGINE: ProviderServerError,
}


def create(context: ProviderContext) -> GgufProvider:
    """The provider for these options. Raises SettingsInvalid."""
    if find_spec("llama_cpp") is None:
        raise SettingsInvalid(
            "GGUF_FOLDER is set and the engine is not installed: pip install 'llm-service[gguf]', which takes a C++ "
            "compiler and some minutes."
        )
    model = text(context.options, "model")
    if not model:
        raise SettingsInvalid("GGUF_MODEL names no model.")
    return GgufProvider(_policy(context.options), model, context)


def _policy(options: Mapping[str, object]) -> ShelfPolicy:
    def or_else(name: str, default: Callable[[], int]) -> int:
        return default() if options.get(name) is None else int(number(options, name))

    return ShelfPolicy(
        folder=Path(text(options, "folder")),
        memory_bytes=or_else("memory_mb", lambda: memory_for_models() // _MB) * _MB,
        context_tokens=int(number(options, "context_tokens")),
        sequences=int(number(options, "max_concurrent")),
        batch_tokens=int(number(options, "batch_tokens")),
        threads=or_else("threads", threads_for_models),
        gpu_layers=int(text(options, "gpu_layers")),
        gpu_memory_bytes=or_else("gpu_memory_mb", lambda: 0) * _MB,
        cache_type=text(options, "cache_type"),
        max_tokens=int(number(options, "max_tokens")),
        idle_s=number(options, "idle_seconds"),
        silence_s=number(options, "silence_seconds"),
        repeatable=bool(options.get("repeatable")),
    )


class GgufProvider:
    """Answers of all tasks to a model are written in one batch, by a process that may die without taking one of them."""

    name = _NAME

    def __init__(self, policy: ShelfPolicy, model: str, context: ProviderContext) -> None:
        self.default_model = model
        self.capabilities = Capabilities(
            schema=True,
            grammar=True,
            streaming=True,
            embeddings=True,
            token_counting=True,
            context_tokens=policy.context_tokens,
        )
        self._clock: Clock = context.clock
        self._rng: random.Random = context.rng
        self._new_id = context.new_id
        self._observe = context.observe
        self._shelf = Shelf(policy, context.clock, context.rng, self._changed, self._tell)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Asked again from the beginning when the engine's process dies in the middle."""
        stopwatch = Stopwatch(self._clock)
        model = request.model or self.default_model
        command = self._command(request)
        async with self._shelf.lent(model) as engine:
            reports = await engine.reports(command)
        return self._completion(reports, model, stopwatch)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamPart, None]:
        """As ``complete``: a death is no failure of the provider, so that no breaker and no count of retries hears of it."""
        stopwatch = Stopwatch(self._clock)
        model = request.model or self.default_model
        command = self._command(request)
        reports: list[Report] = []
        async with self._shelf.lent(model) as engine, aclosing(engine.stream(command)) as coming:
            async for report in coming:
                if isinstance(report, BegunAgain):
                    reports.clear()
                    yield Anew()
                    continue
                reports.append(report)
                if isinstance(report, Piece | Ended) and report.text:
                    stopwatch.first()
                    yield Delta(report.text)
        yield self._completion(reports, model, stopwatch)

    async def embed(self, texts: Sequence[str], model: str | None = None) -> Embeddings:
        name = model or self.default_model
        async with self._shelf.lent(name, embeds=True) as engine:
            reports = await engine.reports(Embed(self._new_id(), tuple(texts)))
        _refuse(reports)
        vectors = [report for report in reports if isinstance(report, Vector)]
        tokens = sum(vector.tokens for vector in vectors)
        return Embeddings(tuple(vector.vector for vector in vectors), name, Usage(prompt_tokens=tokens))

    async def count_tokens(self, texts: Sequence[str], model: str | None = None) -> Sequence[int]:
        async with self._shelf.lent(model or self.default_model) as engine:
            reports = await engine.reports(Count(self._new_id(), tuple(texts)))
        return next(report.tokens for report in reports if isinstance(report, Counted))

    async def models(self) -> Sequence[str]:
        """Those that lie in the folder, whether or not they fit into memory."""
        try:
            return await asyncio.to_thread(self._shelf.names)
        except OSError as error:
            raise ModelNotFound(
                f"The models' folder (GGUF_FOLDER) can't be read: {error.strerror}."
            ) from None

    async def health(self) -> None:
        """Whether the default model's file can be loaded here; nothing is loaded by asking."""
        await self._shelf.check(self.default_model)

    async def close(self) -> None:
        await self._shelf.close()

    def _command(self, request: CompletionRequest) -> Generate:
        """Raises RequestUnsupported or RequestRejected, before anything is loaded."""
        refuse_unable(self.name, self.capabilities, request)
        return command_of(request, self._new_id(), self._clock.monotonic())

    # --- what is told ---------------------------------------------------------------------------------

    def _completion(self, reports: Sequence[Report], model: str, stopwatch: Stopwatch) -> Completion:
        _refuse(reports)
        ended = next((report for report in reports if isinstance(report, Ended)), None)
        if ended is None:
            raise ProviderAnswerInvalid("The engine's answer ended without its end.")
        held = _held(reports, ended.grammar_cost)
        self._observe(
            EngineAnswered(
                _NAME,
                model,
                prompt_tokens=ended.prompt_tokens,
                cached_tokens=ended.cached_tokens,
                completion_tokens=ended.completion_tokens,
                hits=held.hits,
                misses=held.misses,
                hit_s=held.hit_s,
                miss_s=held.miss_s,
                unenforced=held.unenforced,
            )
        )
        return Completion(
            "".join(report.text for report in reports if isinstance(report, Piece | Ended)),
            FinishReason.STOP if ended.ending == Ending.STOP else FinishReason.LENGTH,
            model,
            Usage(ended.prompt_tokens, ended.completion_tokens, ended.cached_tokens),
            timings=stopwatch.timings(),
            held=held if held != Held() else None,
        )

    def _changed(self, event: EngineEvent) -> None:
        self._observe(EngineChanged(_NAME, event.model, event.action, event.detail))
        if event.action in ("died", "failed"):
            self._observe(
                Trouble(_NAME, f"the process of the model {event.model} {event.action}: {event.detail}")
            )
        self._tell()

    def _tell(self) -> None:
        beats, loaded = self._shelf.beats, self._shelf.loaded
        self._observe(
            EngineState(
                len(loaded),
                sum(needed.total for needed in loaded.values()),
                sum(beat.running for beat in beats),
                sum(beat.waiting for beat in beats),
                sum(beat.cached_tokens for beat in beats),
            )
        )


def _held(reports: Sequence[Report], cost: GrammarCost) -> Held:
    findings = next((report.findings for report in reports if isinstance(report, Unenforced)), ())
    return Held(findings, cost.hits, cost.misses, cost.hit_s, cost.miss_s)


def _refuse(reports: Sequence[Report]) -> None:
    for report in reports:
        if isinstance(report, Refused):
            raise _ERRORS[report.refusal](report.message)
