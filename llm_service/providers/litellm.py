"""A hundred other vendors, by the library LiteLLM, which runs in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from llm_service.errors import (
    ContentFiltered,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderServerError,
    ProviderStreamCut,
    ProviderUnavailable,
    RequestUnsupported,
    SettingsInvalid,
)
from llm_service.providers.compatible.answer import FINISHES
from llm_service.providers.compatible.options import tls
from llm_service.providers.compatible.request import (
    capabilities_of,
    data_address,
    payload_of,
    pictures_of,
    refuse_unfit,
)
from llm_service.providers.compatible.vendor import SchemaMode, Vendor
from llm_service.providers.http_errors import excerpt, silent
from llm_service.providers.litellm_errors import error_of
from llm_service.providers.litellm_process import LitellmProcess, ProcessGone
from llm_service.providers.options import number, reveal, text
from llm_service.providers.protocol import (
    Capabilities,
    Completion,
    CompletionRequest,
    Delta,
    Embeddings,
    StreamPart,
    Usage,
)
from llm_service.providers.reading import whole
from llm_service.providers.registry import ProviderContext
from llm_service.providers.stopwatch import Stopwatch
from llm_service.providers.transport import MAX_TEXT_CHARS, Timeouts, sendable
from llm_service.resilience.clock import Clock

# Schemas go into words: which of the vendors keep one by themselves the library knows of some.
_VENDOR = Vendor(name="litellm", title="LiteLLM", schema=SchemaMode.WORDS, drops=frozenset({"seed"}))

_PASSED = frozenset(
    {"frequency_penalty", "logit_bias", "min_p", "presence_penalty", "reasoning_effort", "repetition_penalty", "top_k"}
)  # fmt: skip
"""Parameters of a task that the library is given. Others of its own name another address for the key, or files to read."""

_TRIES = 2
"""A call whose process died is made once more, by a new one."""


@dataclass(frozen=True, slots=True)
class LitellmOptions:
    """Settings of the provider. ``model`` has LiteLLM's form: ``groq/llama-3.3-70b-versatile``."""

    model: str
    api_key: str
    base_url: str
    embedding_model: str
    timeouts: Timeouts
    context_tokens: int | None
    ca_bundle: Path | None

    @staticmethod
    def of(options: Mapping[str, object]) -> LitellmOptions:
        """Raises SettingsInvalid."""
        model = text(options, "model")
        if not all(model.partition("/")):
            raise SettingsInvalid(
                f"LITELLM_MODEL={model}: write the vendor before it, as in groq/llama-3.3-70b."
            )
        return LitellmOptions(
            model=model,
            api_key=reveal(options.get("api_key")).strip(),
            base_url=text(options, "base_url").rstrip("/"),
            embedding_model=text(options, "embedding_model"),
            timeouts=Timeouts(
                number(options, "connect_timeout_seconds"),
                number(options, "request_timeout_seconds"),
                number(options, "first_byte_timeout_seconds"),
            ),
            context_tokens=int(number(options, "context_tokens")) if options.get("context_tokens") else None,
            ca_bundle=Path(text(options, "ca_bundle")).absolute() if options.get("ca_bundle") else None,
        )


def create(context: ProviderContext) -> LitellmProvider:
    """The provider for these options. Raises SettingsInvalid."""
    if find_spec("litellm") is None:
        raise SettingsInvalid(
            "LITELLM_MODEL is set and LiteLLM is not installed: pip install 'llm-service[litellm]'."
        )
    return LitellmProvider(LitellmOptions.of(context.options), context.clock)


class LitellmProvider:
    """Answers are read as streams. The process is started by the first call, and anew by the first after its death."""

    def __init__(self, options: LitellmOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._able = capabilities_of(_VENDOR, options.context_tokens)
        self._process: LitellmProcess | None = None
        self._starting = asyncio.Lock()

    @property
    def name(self) -> str:
        return _VENDOR.name

    @property
    def default_model(self) -> str:
        return self._options.model

    @property
    def capabilities(self) -> Capabilities:
        return self._able

    @property
    def pid(self) -> int | None:
        """Of the process, where there is one."""
        return None if self._process is None else self._process.pid

    async def complete(self, request: CompletionRequest) -> Completion:
        return await whole(self.stream(request), _VENDOR.title)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamPart, None]:
        watch = Stopwatch(self._clock)
        refuse_unfit(_VENDOR, self._able, request)
        if refused := sorted(request.parameters.extra.keys() - _PASSED):
            raise RequestUnsupported(f"Parameters a task can't set for LiteLLM: {', '.join(refused)}.")
        pictures = [
            await asyncio.to_thread(data_address, picture.path, picture.content_type)
            for picture in pictures_of(request)
            if picture.path is not None
        ]
        payload = payload_of(_VENDOR, self._model(request.model), request, pictures)
        said: list[str] = []
        async with aclosing(self._reports("chat", payload, said)) as reports:
            async for report in reports:
                if report["kind"] == "piece":
                    watch.first()
                    said.append(str(report["text"]))
                    if sum(map(len, said)) > MAX_TEXT_CHARS:
                        raise ProviderAnswerInvalid(f"The answer is longer than {MAX_TEXT_CHARS} characters.")
                    yield Delta(said[-1])
                else:
                    yield _completion("".join(said), report, watch)

    async def embed(self, texts: Sequence[str], model: str | None = None) -> Embeddings:
        """By the model that is named, or that of the settings."""
        if not (wanted := model or self._options.embedding_model):
            raise RequestUnsupported("Name a model for embeddings, or set LITELLM_EMBEDDING_MODEL.")
        request = {"model": self._model(wanted), "input": [sendable(text) for text in texts]}
        async with aclosing(self._reports("embed", request, [])) as reports:
            report = await anext(reports)
        vectors = tuple(tuple(map(float, vector)) for vector in report["vectors"])
        return Embeddings(vectors, str(report.get("model") or wanted), Usage(**report["usage"]))

    async def count_tokens(self, texts: Sequence[str], model: str | None = None) -> Sequence[int]:
        """Raises RequestUnsupported: it would count by the tokenizer of another model."""
        raise RequestUnsupported("The provider litellm counts no tokens.")

    async def models(self) -> Sequence[str]:
        """Those of the settings. The library lists what a vendor sells, and not what an account has."""
        named = (self._options.model, self._options.embedding_model)
        return tuple(self._model(each) for each in dict.fromkeys(named) if each)

    async def health(self) -> None:
        """Whether its process runs; a vendor it can't ask without cost."""
        await self._running()

    async def close(self) -> None:
        async with self._starting:
            if self._process is not None:
                await self._process.end()
                self._process = None

    async def _reports(
        self, kind: str, request: Mapping[str, object], said: Sequence[str]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Those of a call; one whose process died before it said anything is made again."""
        limits = self._options.timeouts
        for left in reversed(range(_TRIES)):
            process = await self._running()
            try:
                async with aclosing(process.ask(kind, request, limits.first_s, limits.silence_s)) as reports:
                    async for report in reports:
                        if report["kind"] == "error":
                            now, key = self._clock.now(), self._options.api_key
                            raise error_of(report, key, now, has_begun=bool(said))
                        yield report
            except ProcessGone:
                if said:
                    raise ProviderStreamCut("LiteLLM's process died in the middle of an answer.") from None
                if not left:
                    raise ProviderServerError("LiteLLM's process died, and died again.") from None
            except TimeoutError:
                raise silent(_VENDOR.title, limits) from None
            else:
                return

    async def _running(self) -> LitellmProcess:
        async with self._starting:
            if self._process is not None and self._process.is_over:
                await self._process.end()
                self._process = None
            if self._process is None:
                self._process = await self._started()
            return self._process

    async def _started(self) -> LitellmProcess:
        options = self._options
        if options.ca_bundle is not None:
            tls(options.ca_bundle)  # said here where it can't be read, and not by a process that ends
        setup = {"api_key": options.api_key, "api_base": options.base_url}
        setup["ca_bundle"] = str(options.ca_bundle or "")
        try:
            # The library's own limit is behind ours, which are told apart.
            return await LitellmProcess.start(setup | {"timeout_s": 2 * options.timeouts.first_s})
        except (ProcessGone, OSError) as error:
            raise ProviderUnavailable(f"LiteLLM's process did not start ({type(error).__name__}).") from None

    def _model(self, named: str | None) -> str:
        """A task's model is one of the same vendor: the key is for nobody else."""
        vendor = self._options.model.partition("/")[0]
        if named is None:
            return self._options.model
        return named if named.startswith(f"{vendor}/") else f"{vendor}/{named}"


def _completion(said: str, report: Mapping[str, Any], watch: Stopwatch) -> Completion:
    """The whole answer, or the error that its end stands for."""
    reason = report.get("reason")
    if reason is None:
        raise ProviderStreamCut(f"LiteLLM's answer ended after {len(said)} characters without its end.")
    if reason == "content_filter":
        raise ContentFiltered("The vendor's content filter refused the prompt or the answer.")
    if reason not in FINISHES:
        raise _odd(str(reason))
    return Completion(
        text=said,
        finish_reason=FINISHES[str(reason)],
        model=str(report.get("model") or ""),
        usage=Usage(**report["usage"]),
        cost=report.get("cost"),
        timings=watch.timings(),
    )


def _odd(reason: str) -> ProviderError:
    return ProviderAnswerInvalid(f"LiteLLM ended its answer with the finish reason {excerpt(reason)!r}.")
