"""Ollama, models on machines of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace

import httpx
import ollama

from llm_service.errors import (
    ContextTooLong,
    ModelNotFound,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderServerError,
    ProviderUnavailable,
    RequestRejected,
    RequestUnsupported,
)
from llm_service.providers.context_need import ContextNeed
from llm_service.providers.http_errors import Refusal, excerpt, from_status, from_transport, silent
from llm_service.providers.ollama_client import OllamaClient, OllamaRefusedError
from llm_service.providers.ollama_context import ModelFacts, context_sizes
from llm_service.providers.ollama_request import (
    CAPABILITIES,
    encoded,
    messages_of,
    payload_of,
    pictures_of,
)
from llm_service.providers.ollama_stream import parts_of
from llm_service.providers.options import number, text
from llm_service.providers.protocol import (
    Capabilities,
    Completion,
    CompletionRequest,
    Document,
    Embeddings,
    StreamPart,
    Usage,
)
from llm_service.providers.reading import whole
from llm_service.providers.registry import ProviderContext
from llm_service.providers.stopwatch import Stopwatch
from llm_service.providers.transport import Timeouts, sendable
from llm_service.resilience.clock import Clock
from llm_service.resilience.shortage import MachineShort, shortage

VENDOR = "Ollama"

FACTS_S = 300.0
"""How long what /api/show said of a model is believed; a model of that name may be replaced under it."""


@dataclass(frozen=True, slots=True)
class OllamaOptions:
    """Settings of the provider. ``keep_alive`` is how long the model stays loaded: seconds, or ``5m``."""

    base_url: str
    model: str
    timeouts: Timeouts
    num_ctx_max: int
    keep_alive: str | int | None

    @staticmethod
    def of(options: Mapping[str, object]) -> OllamaOptions:
        """Raises SettingsInvalid."""
        limits = Timeouts(
            number(options, "connect_timeout_seconds"), number(options, "request_timeout_seconds")
        )
        return OllamaOptions(
            base_url=text(options, "base_url"),
            model=text(options, "model"),
            timeouts=limits,
            num_ctx_max=int(number(options, "num_ctx_max")),
            keep_alive=_lifetime(text(options, "keep_alive")),
        )


def _lifetime(value: str) -> str | int | None:
    """Seconds go as a number: in a text the server wants a unit."""
    return int(value) if value.removeprefix("-").isdecimal() else value or None


def create(context: ProviderContext) -> OllamaProvider:
    """The provider for these options. Raises SettingsInvalid."""
    return OllamaProvider(OllamaOptions.of(context.options), context.clock)


class OllamaProvider:
    """Nothing is cut silently: each request brings the context it needs, and is refused when there is none so large.

    Ending a call closes its connection, which ends the generation at the server.
    """

    def __init__(self, options: OllamaOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._client = OllamaClient(options.base_url, options.timeouts)
        self._facts: dict[str, tuple[float, ModelFacts]] = {}

    @property
    def name(self) -> str:
        return "ollama"

    @property
    def default_model(self) -> str:
        return self._options.model

    @property
    def capabilities(self) -> Capabilities:
        return replace(CAPABILITIES, context_tokens=self._options.num_ctx_max)

    async def complete(self, request: CompletionRequest) -> Completion:
        return await whole(self.stream(request), VENDOR)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamPart, None]:
        watch = Stopwatch(self._clock)
        model = request.model or self._options.model
        pictures = pictures_of(request)
        facts = await self._facts_of(model)
        if pictures and not facts.sees:
            raise RequestUnsupported(f"The model {model!r} sees no pictures ({pictures[0].name!r}).")
        messages = messages_of(request)
        need = ContextNeed.of(messages, len(pictures), request.parameters.max_tokens)
        images = await _encoded(pictures)
        *earlier, last = context_sizes(need, model, facts, self._options.num_ctx_max)
        for size in earlier:
            try:
                async with aclosing(
                    self._chat(model, payload_of(request, messages, images, size), watch)
                ) as parts:
                    async for part in parts:
                        yield part
            except (ContextTooLong, RequestRejected):
                # With truncation off HTTP 400 says among other things that the prompt did not fit the size. That comes
                # before any answer and costs nothing; whatever else it meant, the larger size is refused in the same words.
                continue
            return
        async with aclosing(self._chat(model, payload_of(request, messages, images, last), watch)) as parts:
            async for part in parts:
                yield part

    async def embed(self, texts: Sequence[str], model: str | None = None) -> Embeddings:
        """By the model that is named, or the one of the settings; what is too long for it is refused, not cut."""
        wanted = model or self._options.model
        with self._errors("embed texts", wanted):
            # A model may have to be loaded first, as for a chat.
            found = await asyncio.wait_for(
                self._client.embed(
                    wanted,
                    [sendable(text) for text in texts],
                    truncate=False,
                    keep_alive=self._options.keep_alive,
                ),
                self._options.timeouts.first_s,
            )
        vectors = tuple(tuple(vector) for vector in found.embeddings)
        return Embeddings(vectors, found.model or wanted, Usage(found.prompt_eval_count))

    async def count_tokens(self, texts: Sequence[str], model: str | None = None) -> Sequence[int]:
        """Raises RequestUnsupported: the server has no call for it."""
        raise RequestUnsupported("The provider ollama counts no tokens.")

    async def models(self) -> Sequence[str]:
        with self._errors("list its models", ""):
            found = await asyncio.wait_for(self._client.list(), self._options.timeouts.first_s)
        return [model.model for model in found.models if model.model]

    async def health(self) -> None:
        """Whether the server runs and has the model; nothing is loaded by asking."""
        await self._show(self._options.model)

    async def close(self) -> None:
        await self._client.aclose()

    async def _chat(
        self, model: str, payload: Mapping[str, object], watch: Stopwatch
    ) -> AsyncGenerator[StreamPart, None]:
        body = {**payload, "model": model}
        if self._options.keep_alive is not None:
            body["keep_alive"] = self._options.keep_alive
        with self._errors("answer the chat", model):
            stream = await self._client.chat_whole(body)
            async with aclosing(parts_of(stream, self._options.timeouts, watch)) as parts:
                async for part in parts:
                    yield part

    async def _facts_of(self, model: str) -> ModelFacts:
        now = self._clock.monotonic()
        known = self._facts.get(model)
        if known is None or now - known[0] > FACTS_S:
            known = (now, await self._show(model))
            self._facts[model] = known
        return known[1]

    async def _show(self, model: str) -> ModelFacts:
        if not model:
            raise ModelNotFound("No Ollama model is named: set OLLAMA_MODEL.")
        with self._errors("describe a model", model):
            shown = await asyncio.wait_for(self._client.show(model), self._options.timeouts.first_s)
        return ModelFacts.of(shown.modelinfo, shown.capabilities)

    @contextmanager
    def _errors(self, action: str, model: str) -> Iterator[None]:
        try:
            yield
        except OllamaRefusedError as refused:
            raise self._refused(refused, action, model) from None
        except ollama.ResponseError as error:  # a line of a stream that has already begun
            raise ProviderServerError(
                f"Ollama broke off its answer with an error: {excerpt(error.error)}"
            ) from None
        except httpx.HTTPError as error:
            address = excerpt(httpx.URL(self._options.base_url).netloc.decode("ascii", "replace"))
            raise from_transport(error, VENDOR, address, self._options.timeouts) from None
        except TimeoutError:
            raise silent(VENDOR, self._options.timeouts) from None
        except ConnectionError as error:  # the client's own word for httpx.ConnectError
            if (short := shortage(error)) is not None:
                raise MachineShort(f"No connection to Ollama could be opened: {short}.") from None
            raise ProviderUnavailable(
                "Ollama can't be reached; check OLLAMA_BASE_URL and that it runs."
            ) from None
        except (ValueError, TypeError, AttributeError) as error:  # what the client's parsing ends with
            raise ProviderAnswerInvalid(
                f"Ollama's answer to the request to {action} is not of the form it documents ({type(error).__name__})."
            ) from None

    def _refused(self, refused: OllamaRefusedError, action: str, model: str) -> ProviderError:
        if refused.status == 404 and model:
            return ModelNotFound(f"Ollama has no model {excerpt(model)!r}; `ollama pull` fetches it.")
        said = excerpt(refused.body.decode("utf-8", "replace"))
        # The server has no code for it: "the input length exceeds the context length" (seen of 0.17.4).
        if refused.status == 400 and b"exceeds the context length" in refused.body:
            return ContextTooLong(f"The prompt is too long for {model!r} as Ollama counts it: {said}")
        refusal = Refusal(VENDOR, action, refused.status, refused.headers, said)
        return from_status(refusal, self._clock.now())


async def _encoded(pictures: Sequence[Document]) -> list[str]:
    return [await asyncio.to_thread(encoded, picture.path) for picture in pictures if picture.path]
