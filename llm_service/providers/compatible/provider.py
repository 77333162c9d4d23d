"""A provider that speaks OpenAI's protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from functools import partial

import httpx

from llm_service.errors import ModelNotFound, ProviderAnswerInvalid, ProviderError, RequestUnsupported
from llm_service.providers.compatible.answer import StreamedAnswer, usage_of
from llm_service.providers.compatible.options import CompatibleOptions, tls
from llm_service.providers.compatible.quota import quota_of
from llm_service.providers.compatible.refusal import broken_off, refused
from llm_service.providers.compatible.request import (
    capabilities_of,
    data_address,
    payload_of,
    pictures_of,
    refuse_unfit,
)
from llm_service.providers.compatible.sse import events
from llm_service.providers.compatible.vendor import Vendor
from llm_service.providers.http_errors import excerpt, from_transport, silent
from llm_service.providers.protocol import (
    Capabilities,
    Completion,
    CompletionRequest,
    Delta,
    Embeddings,
    Quota,
    StreamPart,
)
from llm_service.providers.reading import whole
from llm_service.providers.stopwatch import Stopwatch
from llm_service.providers.transport import sendable, transport
from llm_service.resilience.clock import Clock

MAX_CONNECTIONS = 200
"""Above any worker's pool: how many calls run at once is limited around the provider, not here."""

END_GRACE_S = 1.0
"""After the finish reason only usage and the end marker come, which nobody should wait for as for an answer."""

CLOSE_GRACE_S = 0.25
"""After the end marker only the end of the HTTP answer comes; it is read so that the connection can be used again."""


class CompatibleProvider:
    """Answers are always read as streams, so that silence and slowness are noticed."""

    def __init__(self, vendor: Vendor, options: CompatibleOptions, clock: Clock) -> None:
        self._vendor = vendor
        self._options = options
        self._clock = clock
        self._able = capabilities_of(vendor, options.context_tokens)
        self._http = httpx.AsyncClient(
            base_url=options.base_url,
            transport=transport(tls(options.ca_bundle), MAX_CONNECTIONS),
            timeout=options.timeouts.for_httpx(),
            headers=_headers(vendor, options.api_key),
        )

    @property
    def name(self) -> str:
        return self._vendor.name

    @property
    def default_model(self) -> str:
        return self._options.model

    @property
    def capabilities(self) -> Capabilities:
        return self._able

    async def complete(self, request: CompletionRequest) -> Completion:
        return await whole(self.stream(request), self._vendor.title)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamPart, None]:
        watch = Stopwatch(self._clock)
        refuse_unfit(self._vendor, self._able, request)
        model = self._model(request.model)
        pictures = [
            await asyncio.to_thread(data_address, picture.path, picture.content_type)
            for picture in pictures_of(request)
            if picture.path is not None
        ]
        payload = payload_of(self._vendor, model, request, pictures)
        with self._errors("answer the chat"):
            async with aclosing(self._parts(payload, watch)) as parts:
                async for part in parts:
                    yield part

    async def embed(self, texts: Sequence[str], model: str | None = None) -> Embeddings:
        """By the model that is named, that of the settings, or the vendor's usual one."""
        wanted = model or self._options.embedding_model or self._vendor.embedding_model
        if not wanted:
            raise RequestUnsupported(
                f"{self._vendor.title} has no usual model for embeddings: name one, "
                f"or set {self._vendor.name.upper()}_EMBEDDING_MODEL."
            )
        body = {"model": wanted, "input": [sendable(text) for text in texts], "encoding_format": "float"}
        answer = await self._asked("embed texts", self._http.post("embeddings", json=body))
        return _embeddings(answer, wanted, len(texts), self._vendor.title)

    async def count_tokens(self, texts: Sequence[str], model: str | None = None) -> Sequence[int]:
        """Raises RequestUnsupported: the protocol has no call for it."""
        raise RequestUnsupported(f"The provider {self.name} counts no tokens.")

    async def models(self) -> Sequence[str]:
        answer = await self._asked("list its models", self._http.get("models"))
        entries = answer.get("data")
        ids = (
            [entry.get("id") for entry in entries if isinstance(entry, dict)]
            if isinstance(entries, list)
            else []
        )
        return [str(model).removeprefix(self._vendor.model_prefix) for model in ids if model]

    async def health(self) -> None:
        """The list of models: it costs nothing, and needs the key where there is one."""
        await self.models()

    async def close(self) -> None:
        await self._http.aclose()

    # --- inside -----------------------------------------------------------------------------------

    async def _parts(
        self, payload: Mapping[str, object], watch: Stopwatch
    ) -> AsyncGenerator[StreamPart, None]:
        timeouts = self._options.timeouts
        request = self._http.build_request("POST", "chat/completions", json=payload)
        async with asyncio.timeout(timeouts.first_s):
            response = await self._http.send(request, stream=True)
        try:
            await self._accept(response)
            answer = StreamedAnswer(self._vendor, watch, partial(self._broken, "answer the chat"))
            source = _json(response) if _is_json(response) else events(response.aiter_raw())
            async with aclosing(source) as data:
                async for text in self._read(data, answer):
                    yield Delta(text)
            yield answer.completion(self._quota(response))
        finally:
            await response.aclose()

    async def _read(
        self, data: AsyncGenerator[str, None], answer: StreamedAnswer
    ) -> AsyncGenerator[str, None]:
        """The texts of the events. Limits are on events, beside httpx's on bytes: one byte a second is silence too."""
        timeouts = self._options.timeouts
        limit = timeouts.first_s
        while True:
            try:
                async with asyncio.timeout(limit):
                    event = await anext(data, None)
            except (httpx.TransportError, TimeoutError):
                if not answer.finished:
                    raise
                return
            if event is None:
                return
            if text := answer.add(event):
                yield text
            ended = CLOSE_GRACE_S if answer.is_done else END_GRACE_S
            limit = ended if answer.finished else timeouts.silence_s

    async def _accept(self, response: httpx.Response) -> None:
        """Raises what an answer that is no success says; its body is read within the limits, and bounded."""
        if response.status_code == 200:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in {"text/event-stream", "application/json"}:
                raise ProviderAnswerInvalid(
                    f"{self._vendor.title} answered with the content type {excerpt(kind)!r} and no stream; "
                    f"check {self._vendor.name.upper()}_BASE_URL."
                )
            return
        async with asyncio.timeout(self._options.timeouts.silence_s):
            body = await response.aread()
        raise self._refused("answer the chat", response, body)

    async def _asked(self, action: str, call: Awaitable[httpx.Response]) -> Mapping[str, object]:
        """One question with one answer in JSON."""
        with self._errors(action):
            async with asyncio.timeout(self._options.timeouts.first_s):
                response = await call
            if response.status_code != 200:
                raise self._refused(action, response, response.content)
            answer = response.json()
            if not isinstance(answer, dict):
                raise TypeError(type(answer).__name__)
            if answer.get("error"):
                raise self._broken(action, answer)
            return answer

    def _model(self, named: str | None) -> str:
        if model := named or self._options.model:
            return model
        raise ModelNotFound(
            f"No model of {self._vendor.title} is named: set {self._vendor.name.upper()}_MODEL."
        )

    def _quota(self, response: httpx.Response) -> Quota | None:
        return quota_of(response.headers, self._vendor.quota, self._clock.now())

    def _refused(self, action: str, response: httpx.Response, body: bytes) -> ProviderError:
        key, now = self._options.api_key, self._clock.now()
        return refused(self._vendor, action, response.status_code, response.headers, body, key, now)

    def _broken(self, action: str, body: Mapping[str, object]) -> ProviderError:
        return broken_off(self._vendor, action, body, self._options.api_key, self._clock.now())

    @contextmanager
    def _errors(self, action: str) -> Iterator[None]:
        """httpx's exceptions become ours; they are left out of the chain, as they hold the request with its key."""
        try:
            yield
        except httpx.HTTPError as error:
            url = httpx.URL(self._options.base_url)
            origin = excerpt(f"{url.host}:{url.port or (443 if url.scheme == 'https' else 80)}")
            raise from_transport(error, self._vendor.title, origin, self._options.timeouts) from None
        except TimeoutError:
            raise silent(self._vendor.title, self._options.timeouts) from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ProviderAnswerInvalid(
                f"{self._vendor.title}'s answer to the request to {action} is not of the form it documents "
                f"({type(error).__name__})."
            ) from None


def _headers(vendor: Vendor, key: str) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity", **vendor.headers}
    if key:
        headers["Authorization"] = f"Bearer {key}"
        if vendor.key_header:
            headers[vendor.key_header] = key
    return headers


def _is_json(response: httpx.Response) -> bool:
    return bool(response.headers.get("content-type", "").lower().startswith("application/json"))


async def _json(response: httpx.Response) -> AsyncGenerator[str, None]:
    """The body as the one event of its stream: an error under HTTP 200, or a server that does not stream."""
    yield (await response.aread()).decode("utf-8", "replace")


def _embeddings(answer: Mapping[str, object], wanted: str, count: int, title: str) -> Embeddings:
    entries = answer.get("data")
    if not isinstance(entries, list) or len(entries) != count:
        raise ProviderAnswerInvalid(f"{title} did not give a vector for each of {count} texts.")
    ordered = sorted(entries, key=lambda entry: int(entry.get("index", 0)))
    vectors = tuple(tuple(map(float, entry["embedding"])) for entry in ordered)
    usage = answer.get("usage")
    counted = usage_of(usage) if isinstance(usage, Mapping) else usage_of({})
    return Embeddings(vectors, str(answer.get("model") or wanted), counted)
