"""GigaChat's access token: asked for by the authorization key, one request at a time, ahead of its end.

The SDK's own handling is left aside for three things it does (gigachat 0.2.3, ``client.py`` and
``authentication.py``): a 401 makes every task that met it throw the token away, the fresh one of its neighbour
too, so that n tasks ask for n tokens where the vendor allows ten a second; an ``exp`` in seconds is read as
milliseconds, so that each call asks for a token; and a refresh that fails is not forgiven while the old token still
lives. The request itself is the SDK's.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from llm_service.errors import ProviderAccountError, ProviderError
from llm_service.resilience.clock import Clock

TOKEN_LIFE_S = 30 * 60
"""What the vendor promises. A longer life is a clock that is behind the vendor's, and is not believed."""

REFRESH_AHEAD = 0.1
"""Part of a token's life before whose end the next one is asked for …"""

REFRESH_AHEAD_MAX_S = 60.0
"""… but no more than this: a call that begins with a token has a minute to reach the vendor."""

SKEWED_LIFE_S = 60.0
"""How long a token is used that by our clock is born dead: our clock is wrong, and the vendor's 401 will tell."""

FORGIVE_S = 5.0
"""After a failed refresh, how long the old token, still alive, is used before the next try."""

SECONDS_BELOW = 1e11
"""An expiry below this is in seconds (1e11 s is the year 5138), above it in milliseconds (1e11 ms is 1973)."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer and when it ends, in unix seconds by the vendor's clock."""

    value: str
    expires_at_s: float

    @staticmethod
    def of(value: str, expires_at: float) -> AccessToken:
        """Both forms the vendor gives: milliseconds (``expires_at``) and seconds (``exp``)."""
        return AccessToken(value, expires_at if expires_at < SECONDS_BELOW else expires_at / 1000)


class TokenSource(Protocol):
    """Where a call gets its bearer."""

    async def token(self) -> str: ...

    async def renewed(self, refused: str) -> str:
        """A token other than the one the vendor just refused. Raises ProviderAccountError when there is none."""
        ...

    async def close(self) -> None: ...


def is_authorization_key(value: str) -> bool:
    """Whether this is a Base64 ``id:secret``. A bearer has dots in it, or decodes to no such text."""
    try:
        decoded = base64.b64decode(value, validate=True).decode("ascii")
    except ValueError:  # no Base64, or not of ASCII
        return False
    name, colon, secret = decoded.partition(":")
    return bool(name and colon and secret) and decoded.isprintable()


class FixedToken:
    """A bearer given by the settings. It lives 30 minutes and can't be renewed."""

    def __init__(self, value: str) -> None:
        self._value = value

    async def token(self) -> str:
        if not self._value:
            raise ProviderAccountError(
                "GigaChat has no key: set GIGACHAT_ACCESS_TOKEN to the authorization key."
            )
        return self._value

    async def renewed(self, refused: str) -> str:
        raise ProviderAccountError(
            "GigaChat refused the access token (HTTP 401), and a bare access token can't be renewed: "
            "set GIGACHAT_ACCESS_TOKEN to the Base64 authorization key."
        )

    async def close(self) -> None:
        return


class KeyToken:
    """A bearer got by the authorization key, shared by all calls; any number of them wait for one request."""

    def __init__(self, ask: Callable[[], Awaitable[AccessToken]], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._value = ""
        self._fresh_until = 0.0  # monotonic: once here, a token's life does not depend on the wall clock
        self._alive_until = 0.0
        self._asking: asyncio.Task[str] | None = None

    async def token(self) -> str:
        now = self._clock.monotonic()
        if self._value and now < self._fresh_until:
            return self._value
        try:
            return await self._asked()
        except ProviderError:
            if not self._value or self._clock.monotonic() >= self._alive_until:
                raise
            self._fresh_until = min(self._clock.monotonic() + FORGIVE_S, self._alive_until)
            return self._value

    async def renewed(self, refused: str) -> str:
        if self._value == refused:
            self._value = ""
        elif self._value:
            return self._value  # another call met the same 401 first
        return await self._asked()

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _asked(self) -> str:
        """Join the request in flight or start it. Cancelling one waiter leaves it to the others."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._refresh(), name="gigachat-token")
            self._asking.add_done_callback(_taken_note_of)
        return await asyncio.shield(self._asking)

    async def _refresh(self) -> str:
        got = await self._ask()
        now = self._clock.monotonic()
        life = min(got.expires_at_s - self._clock.now().timestamp(), TOKEN_LIFE_S)
        if life <= 0:
            life = SKEWED_LIFE_S
        self._value = got.value
        self._alive_until = now + life
        self._fresh_until = now + life - min(life * REFRESH_AHEAD, REFRESH_AHEAD_MAX_S)
        return got.value


def _taken_note_of(task: asyncio.Task[str]) -> None:
    """Its waiters get the error; when all of them were cancelled it must not be reported as never retrieved."""
    if not task.cancelled():
        task.exception()
