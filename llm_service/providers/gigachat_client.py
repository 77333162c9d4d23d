"""GigaChat's endpoints: the SDK's calls with our connection, our token and our errors.

The SDK's endpoint functions (``gigachat.api``) are used and not its client class: the class reads GIGACHAT_* from
the environment for whatever is not given (and None counts as not given: user, password, flags, certificate), fails on a
GIGACHAT_FLAGS that is no JSON whatever is given, has one timeout for everything, and cannot share one refresh of
the token (see gigachat_token). The functions take a connection and a token, and nothing else decides; they never retry.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
from gigachat import api
from gigachat.exceptions import AuthenticationError, ResponseError
from gigachat.models.chat import Chat

from llm_service.errors import (
    ModelNotFound,
    ProviderAccountError,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderRateLimited,
    ProviderUnavailable,
    RequestRejected,
)
from llm_service.providers.gigachat_options import GigaChatOptions, tls
from llm_service.providers.gigachat_stream import parts_of
from llm_service.providers.gigachat_token import (
    AccessToken,
    FixedToken,
    KeyToken,
    TokenSource,
    is_authorization_key,
)
from llm_service.providers.http_errors import Refusal, excerpt, from_status, from_transport, silent
from llm_service.providers.protocol import Embeddings, StreamPart, Usage
from llm_service.providers.stopwatch import Stopwatch
from llm_service.providers.transport import transport
from llm_service.resilience.clock import Clock

VENDOR = "GigaChat"

ACCOUNT_HINT = "check GIGACHAT_ACCESS_TOKEN, GIGACHAT_SCOPE and the address for tokens"

SLOWEST_UPLOAD = 50_000
"""Bytes a second; slower than that an upload is given up. 40 MB, the vendor's limit, then take 13 minutes."""

Result = TypeVar("Result")


class GigaChatClient:
    """One account. Errors raised by every method are of ``errors.ProviderError``."""

    def __init__(self, options: GigaChatOptions, clock: Clock) -> None:
        # The SDK logs a chunk it can't read with the model's words in it; what it warns of, we raise.
        logging.getLogger("gigachat").setLevel(logging.CRITICAL + 1)
        context = tls(options)
        self._options = options
        self._clock = clock
        self._http = httpx.AsyncClient(
            base_url=options.base_url,
            transport=transport(context, options.max_connections),
            timeout=options.timeouts.for_httpx(),
            headers={"Accept-Encoding": "identity"},
        )
        # A connection of its own: waiting calls must never keep the token they wait for from being asked for.
        self._oauth = httpx.AsyncClient(
            transport=transport(context, 1),
            timeout=options.timeouts.for_httpx(),
            headers={"Accept-Encoding": "identity"},
        )
        self._tokens: TokenSource = (
            KeyToken(self.new_token, clock)
            if is_authorization_key(options.access_token)
            else FixedToken(options.access_token)
        )

    async def chat(self, chat: Chat, watch: Stopwatch) -> AsyncGenerator[StreamPart, None]:
        """A streamed answer. Raises ModelNotFound for HTTP 404, ProviderStreamCut when its end is missing."""
        token = await self._tokens.token()
        try:
            async with aclosing(self._said(chat, token, watch)) as parts:
                async for part in parts:
                    yield part
        except _TokenRefused:  # said in place of the first chunk
            token = await self._tokens.renewed(token)
        else:
            return
        try:
            async with aclosing(self._said(chat, token, watch)) as parts:
                async for part in parts:
                    yield part
        except _TokenRefused:
            raise _refused_anew("answer the chat") from None

    async def _said(self, chat: Chat, token: str, watch: Stopwatch) -> AsyncGenerator[StreamPart, None]:
        try:
            with self._errors("answer the chat", self._options.base_url, token):
                chunks = api.chat.stream_async(self._http, chat=chat, access_token=token)
                async with aclosing(parts_of(chunks, VENDOR, self._options.timeouts, watch)) as parts:
                    async for part in parts:
                        yield part
        except _NotFound as error:
            raise _no_model(chat.model or "", error) from None

    async def embed(self, texts: Sequence[str], model: str) -> Embeddings:
        """A vector for each text."""

        async def ask(token: str) -> Embeddings:
            found = await api.embeddings.embeddings_async(
                self._http, access_token=token, input_=list(texts), model=model
            )
            entries = sorted(found.data, key=lambda entry: entry.index)
            tokens = sum(entry.usage.prompt_tokens for entry in entries)
            return Embeddings(
                tuple(tuple(entry.embedding) for entry in entries), found.model or model, Usage(tokens)
            )

        try:
            return await self._authorized("embed texts", self._options.timeouts.first_s, ask)
        except _NotFound as error:
            raise _no_model(model, error) from None

    async def count_tokens(self, texts: Sequence[str], model: str) -> Sequence[int]:
        """Tokens of each text, as the model counts them; costs nothing."""

        async def ask(token: str) -> Sequence[int]:
            counted = await api.tools.tokens_count_async(
                self._http, access_token=token, input_=list(texts), model=model
            )
            return [entry.tokens for entry in counted]

        try:
            return await self._authorized("count tokens", self._options.timeouts.first_s, ask)
        except _NotFound as error:
            raise _no_model(model, error) from None

    async def upload(self, path: Path, name: str, stored_as: str, content_type: str, size: int) -> str:
        """Store a file at the vendor, under another name than errors call it, and give its id."""

        async def send(token: str) -> str:
            # Opened anew for each try, so that the second begins at the start; httpx reads it in pieces of 64 kB.
            file = await asyncio.to_thread(path.open, "rb")
            try:
                stored = await api.files.upload_file_async(
                    self._http, file=(stored_as, file, content_type), access_token=token
                )
            finally:
                file.close()
            return stored.id_

        limit = self._options.timeouts.first_s + size / SLOWEST_UPLOAD
        return await self._authorized(f"store the file {excerpt(name)!r}", limit, send)

    async def delete(self, file_id: str) -> None:
        """Delete a stored file; one that is gone already is deleted."""

        async def remove(token: str) -> None:
            try:
                await api.files.delete_file_async(self._http, file=file_id, access_token=token)
            except ResponseError as error:
                if error.status_code not in {204, 404}:
                    raise

        await self._authorized("delete a file", self._options.timeouts.first_s, remove)

    async def files(self) -> Sequence[StoredFile]:
        """All files that the account has stored, whoever uploaded them."""

        async def ask(token: str) -> Sequence[StoredFile]:
            found = await api.files.get_files_async(self._http, access_token=token)
            return [
                StoredFile(file.id_, file.filename, file.purpose, float(file.created_at))
                for file in found.data
            ]

        return await self._authorized("list its files", self._options.timeouts.first_s, ask)

    async def models(self) -> Sequence[str]:
        """Names of the account's models."""

        async def ask(token: str) -> Sequence[str]:
            found = await api.models.get_models_async(self._http, access_token=token)
            return [model.id_ for model in found.data]

        return await self._authorized("list its models", self._options.timeouts.first_s, ask)

    async def balance(self) -> Sequence[float]:
        """What is left of each prepaid package."""
        return list((await self.packages()).values())

    async def packages(self) -> Mapping[str, float]:
        """Tokens left by prepaid package. An account that pays as it goes has none: HTTP 403."""

        async def ask(token: str) -> Mapping[str, float]:
            found = await api.tools.get_balance_async(self._http, access_token=token)
            return {entry.usage: entry.value for entry in found.balance}

        return await self._authorized("tell the balance", self._options.timeouts.first_s, ask)

    async def close(self) -> None:
        await self._tokens.close()
        await self._http.aclose()
        await self._oauth.aclose()

    async def _authorized(
        self, action: str, limit_s: float | None, call: Callable[[str], Awaitable[Result]]
    ) -> Result:
        """Make the call with a token, and once more with a new one when the vendor refuses the first by 401."""
        token = await self._tokens.token()
        try:
            return await self._made(action, limit_s, token, call)
        except _TokenRefused:
            token = await self._tokens.renewed(token)
        try:
            return await self._made(action, limit_s, token, call)
        except _TokenRefused:
            raise _refused_anew(action) from None

    async def _made(
        self, action: str, limit_s: float | None, token: str, call: Callable[[str], Awaitable[Result]]
    ) -> Result:
        with self._errors(action, self._options.base_url, token):
            async with asyncio.timeout(limit_s):
                return await call(token)

    async def new_token(self, scope: str | None = None) -> AccessToken:
        """A token fresh from the vendor, for the configured scope unless another is named.

        Raises KeyRefused, ScopeRefused, and what any call raises. Nothing is spent at the token server: whatever else
        fails there is an outage.
        """
        try:
            with self._errors("give an access token", self._options.oauth_url, ""):
                async with asyncio.timeout(self._options.timeouts.first_s):
                    got = await api.auth.auth_async(
                        self._oauth,
                        url=self._options.oauth_url,
                        credentials=self._options.access_token,
                        scope=scope or self._options.scope,
                    )
        except (ProviderUnavailable, ProviderRateLimited):
            raise
        except ProviderError as error:
            raise _token_refusal(error) from None
        return AccessToken.of(got.access_token, got.expires_at)

    @contextmanager
    def _errors(self, action: str, address: str, token: str) -> Iterator[None]:
        """The SDK's and httpx's exceptions become ours; theirs are left out of the chain, as their text holds headers."""
        try:
            yield
        except ResponseError as error:
            raise self._refused(error, action, token) from None
        except httpx.HTTPError as error:
            url = httpx.URL(address)
            raise from_transport(
                error, VENDOR, f"{url.host}:{url.port or 443}", self._options.timeouts
            ) from None
        except TimeoutError:
            raise silent(VENDOR, self._options.timeouts) from None
        except (ValueError, TypeError, KeyError) as error:  # what the SDK's parsing ends with
            raise ProviderAnswerInvalid(
                f"GigaChat's answer to the request to {action} is not of the form it documents ({type(error).__name__})."
            ) from None

    def _refused(self, error: ResponseError, action: str, token: str) -> ProviderError:
        secrets = (token, self._options.access_token)
        body = (error.content or b"").decode("utf-8", "replace")
        said = excerpt(body, secrets)
        refusal = Refusal(VENDOR, action, error.status_code, error.headers or {}, said)
        if isinstance(error, AuthenticationError) and token:
            return _TokenRefused(refusal.sentence)
        if error.status_code == 404:
            return _NotFound(refusal.sentence)
        if error.status_code in {413, 422}:
            kind = PromptTooLarge if error.status_code == 413 else NotProcessed
            return kind(refusal.sentence)
        return from_status(refusal, self._clock.now())


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the account's storage."""

    file_id: str
    name: str
    purpose: str
    created_at_s: float
    """Unix seconds by the vendor's clock."""


class PromptTooLarge(RequestRejected):
    """Larger than the vendor takes (HTTP 413); of a chat: longer than the model's context."""


class NotProcessed(RequestRejected):
    """Something in the request is wrong (HTTP 422), or a file in it longer than the model's context."""


class KeyRefused(ProviderAccountError):
    """GigaChat does not know the authorization key."""


class ScopeRefused(ProviderAccountError):
    """The account has another scope than the one that was asked for."""


class _TokenRefused(ProviderAccountError):
    """GigaChat refused the access token (HTTP 401)."""


class _NotFound(RequestRejected):
    """GigaChat has no such thing (HTTP 404)."""


def _refused_anew(action: str) -> ProviderAccountError:
    return ProviderAccountError(
        f"GigaChat refused to {action} with HTTP 401, with a new token too ({ACCOUNT_HINT})."
    )


def _no_model(model: str, error: ProviderError) -> ModelNotFound:
    return ModelNotFound(
        f"GigaChat has no model {excerpt(model)!r} ({error.message}); "
        "`llm-service check` lists those of the account."
    )


def _token_refusal(error: ProviderError) -> ProviderError:
    """401 is the key; 400 the scope, as the key has been looked at before; 404 the address."""
    if error.spent:
        return ProviderUnavailable(error.message, retry_after=error.retry_after)
    kind: type[ProviderError] = ProviderAccountError
    if isinstance(error, ProviderAccountError):
        kind = KeyRefused
    elif isinstance(error, RequestRejected) and not isinstance(error, _NotFound):
        kind = ScopeRefused
    return kind(f"{error.message} ({ACCOUNT_HINT})", retry_after=error.retry_after)
