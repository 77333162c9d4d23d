"""One Ollama server: its calls, with our errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager

import httpx
import ollama

from llm_service.errors import (
    ContextTooLong,
    ModelNotFound,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderRateLimited,
    ProviderServerError,
    ProviderUnavailable,
)
from llm_service.providers.http_errors import (
    Refusal,
    distrust_of,
    excerpt,
    from_status,
    from_transport,
    silent,
)
from llm_service.providers.ollama_client import OllamaClient, OllamaRefusedError
from llm_service.providers.ollama_context import ModelFacts
from llm_service.providers.ollama_options import OllamaOptions
from llm_service.providers.ollama_stream import parts_of
from llm_service.providers.protocol import Embeddings, StreamPart, Usage
from llm_service.providers.stopwatch import Stopwatch
from llm_service.providers.transport import sendable
from llm_service.resilience.clock import Clock
from llm_service.resilience.retry_after import parse_retry_after
from llm_service.resilience.shortage import MachineShort, shortage

VENDOR = "Ollama"

FACTS_S = 300.0
"""How long what /api/show said of a model is believed; a model of that name may be replaced under it."""


class OllamaServer:
    """Errors raised by every method are of ``errors.ProviderError``."""

    def __init__(self, address: str, options: OllamaOptions, clock: Clock) -> None:
        self.origin = excerpt(httpx.URL(address).netloc.decode("ascii", "replace"))
        """Host and port, without a password that the address may hold."""
        self._options = options
        self._clock = clock
        self._client = OllamaClient(address, options.timeouts, options.ca_bundle)
        self._facts: dict[str, tuple[float, ModelFacts]] = {}

    async def facts_of(self, model: str) -> ModelFacts:
        """What the model is; nothing is loaded by asking. Raises ModelNotFound."""
        now = self._clock.monotonic()
        known = self._facts.get(model)
        if known is None or now - known[0] > FACTS_S:
            known = (now, await self.show(model))
            self._facts[model] = known
        return known[1]

    async def show(self, model: str) -> ModelFacts:
        """The same, asked anew."""
        if not model:
            raise ModelNotFound("No Ollama model is named: set OLLAMA_MODEL.")
        with self._errors("describe a model", model):
            shown = await asyncio.wait_for(self._client.show(model), self._options.timeouts.first_s)
        return ModelFacts.of(shown.modelinfo, shown.capabilities)

    async def chat(
        self, model: str, payload: Mapping[str, object], watch: Stopwatch
    ) -> AsyncGenerator[StreamPart, None]:
        """A streamed answer."""
        body = {**payload, "model": model}
        if self._options.keep_alive is not None:
            body["keep_alive"] = self._options.keep_alive
        with self._errors("answer the chat", model):
            stream = await self._client.chat_whole(body)
            async with aclosing(parts_of(stream, self._options.timeouts, watch)) as parts:
                async for part in parts:
                    yield part

    async def embed(self, texts: Sequence[str], model: str) -> Embeddings:
        """What is too long for the model is refused, not cut."""
        with self._errors("embed texts", model):
            # A model may have to be loaded first, as for a chat.
            found = await asyncio.wait_for(
                self._client.embed(
                    model,
                    [sendable(text) for text in texts],
                    truncate=False,
                    keep_alive=self._options.keep_alive,
                ),
                self._options.timeouts.first_s,
            )
        vectors = tuple(tuple(vector) for vector in found.embeddings)
        return Embeddings(vectors, found.model or model, Usage(found.prompt_eval_count))

    async def models(self) -> Sequence[str]:
        """Names of the models it has."""
        with self._errors("list its models", ""):
            found = await asyncio.wait_for(self._client.list(), self._options.timeouts.first_s)
        return [model.model for model in found.models if model.model]

    async def pull(self, model: str) -> AsyncGenerator[tuple[int, int], None]:
        """Fetch a model from the registry; bytes that are here, and of the layer that is being fetched, as they come."""
        with self._errors("pull a model", model):
            lines = await self._client.pull(model, stream=True)
            async for line in lines:
                yield line.completed or 0, line.total or 0

    async def close(self) -> None:
        await self._client.aclose()

    @contextmanager
    def _errors(self, action: str, model: str) -> Iterator[None]:
        try:
            yield
        except OllamaRefusedError as refused:
            raise self.refused(refused, action, model) from None
        except ollama.ResponseError as error:  # a line of a stream that has already begun
            raise ProviderServerError(
                f"Ollama broke off its answer with an error: {excerpt(error.error)}"
            ) from None
        except httpx.HTTPError as error:
            raise from_transport(error, VENDOR, self.origin, self._options.timeouts) from None
        except TimeoutError:
            raise silent(VENDOR, self._options.timeouts) from None
        except ConnectionError as error:  # the client's own word for httpx.ConnectError
            if (short := shortage(error)) is not None:
                raise MachineShort(f"No connection to Ollama could be opened: {short}.") from None
            if (distrust := distrust_of(error)) is not None:
                raise ProviderUnavailable(
                    f"The TLS certificate of Ollama at {self.origin} is not trusted ({distrust.verify_message}); "
                    "name the certificate of its issuer in OLLAMA_CA_BUNDLE."
                ) from None
            raise ProviderUnavailable(
                f"Ollama at {self.origin} can't be reached; check OLLAMA_BASE_URL and that it runs."
            ) from None
        except (ValueError, TypeError, AttributeError) as error:  # what the client's parsing ends with
            raise ProviderAnswerInvalid(
                f"Ollama's answer to the request to {action} is not of the form it documents ({type(error).__name__})."
            ) from None

    def refused(self, refused: OllamaRefusedError, action: str, model: str) -> ProviderError:
        """The error that a refusal is."""
        if refused.status == 404 and model:
            return ModelNotFound(
                f"Ollama has no model {excerpt(model)!r}; `ollama pull` fetches it, and OLLAMA_PULL=true lets this service."
            )
        said = excerpt(refused.body.decode("utf-8", "replace"))
        # The server has no code for it: "the input length exceeds the context length" (seen of 0.17.4).
        if refused.status == 400 and b"exceeds the context length" in refused.body:
            return ContextTooLong(f"The prompt is too long for {model!r} as Ollama counts it: {said}")
        refusal = Refusal(VENDOR, action, refused.status, refused.headers, said)
        if refused.status == 503:  # its queue is full (OLLAMA_MAX_QUEUE): busy, and not away
            wait = parse_retry_after(refused.headers.get("retry-after"), self._clock.now())
            return ProviderRateLimited(refusal.sentence, retry_after=wait)
        return from_status(refusal, self._clock.now())
