"""From what HTTP says to the error tree: by code and by class of exception, never by a sentence."""

from __future__ import annotations

import ssl
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import httpx

from llm_service.errors import (
    ProviderAccountError,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderRateLimited,
    ProviderServerError,
    ProviderStreamCut,
    ProviderTimeout,
    ProviderUnavailable,
    RequestRejected,
)
from llm_service.providers.transport import Timeouts
from llm_service.resilience.retry_after import parse_retry_after
from llm_service.resilience.shortage import MachineShort, shortage

EXCERPT_CHARS = 200
"""Enough for a vendor's sentence; a status event is no place for a page of HTML."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer that is no success."""

    vendor: str
    action: str
    """What was asked, in words that end a sentence: ``answer a chat``."""
    status: int
    headers: Mapping[str, str]
    detail: str
    """A bounded, safe excerpt of what the vendor said, or nothing."""

    @property
    def sentence(self) -> str:
        tail = f": {self.detail}" if self.detail else ""
        return f"{self.vendor} refused to {self.action} with HTTP {self.status}{tail}"


def from_status(refusal: Refusal, now: datetime) -> ProviderError:
    """The error for a status code that means the same at every vendor (404 is the caller's: it knows what was named)."""
    wait = parse_retry_after(refusal.headers.get("retry-after"), now)
    return _kind(refusal.status)(refusal.sentence, retry_after=wait)


def _kind(status: int) -> type[ProviderError]:
    if status < 400:  # a redirect, or a success of a kind that was not asked for
        return ProviderAnswerInvalid
    if status in {401, 402, 403}:
        return ProviderAccountError
    if status == 429:
        return ProviderRateLimited
    if status in {408, 502, 503, 504, 529}:  # 529: Anthropic's "overloaded"
        return ProviderUnavailable
    return ProviderServerError if status >= 500 else RequestRejected


def from_transport(error: httpx.HTTPError, vendor: str, origin: str, timeouts: Timeouts) -> ProviderError:
    """The error for a connection that failed. Before the request was sent whole nothing can have been spent."""
    if isinstance(error, httpx.ReadTimeout):
        return silent(vendor, timeouts)
    if isinstance(error, httpx.ReadError | httpx.CloseError | httpx.RemoteProtocolError):
        return ProviderStreamCut(f"{vendor} closed the connection before the end of its answer.")
    if isinstance(error, httpx.ConnectError) and (short := shortage(error)) is not None:
        return MachineShort(f"No connection to {vendor} could be opened: {short}.")
    if isinstance(error, httpx.TimeoutException | httpx.NetworkError):
        return ProviderUnavailable(_not_sent(error, vendor, origin, timeouts))
    # What is left says that the answer follows no protocol (wrong content type, bytes that don't decode),
    # or that the configured address is none.
    return ProviderAnswerInvalid(
        f"{vendor} at {origin} does not speak its protocol ({type(error).__name__})."
    )


def silent(vendor: str, timeouts: Timeouts) -> ProviderTimeout:
    """Nothing came for as long as we wait."""
    return ProviderTimeout(f"{vendor} was silent for {timeouts.silence_s:g} s.")


def _not_sent(error: httpx.HTTPError, vendor: str, origin: str, timeouts: Timeouts) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return f"{vendor} at {origin} took no connection within {timeouts.connect_s:g} s."
    if isinstance(error, httpx.PoolTimeout):
        return f"No connection to {vendor} became free within {timeouts.silence_s:g} s."
    if not isinstance(error, httpx.ConnectError):
        return f"{vendor} at {origin} stopped taking the request."
    if distrust := distrust_of(error):
        return (
            f"The TLS certificate of {vendor} at {origin} is not trusted ({distrust.verify_message}); "
            "name the CA bundle that it was issued from in the settings."
        )
    return f"{vendor} at {origin} can't be reached; check the address and that it runs."


def distrust_of(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """What a failed connection is about where it is about the certificate."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause


def excerpt(text: str, secrets: tuple[str, ...] = ()) -> str:
    """One bounded line of a vendor's words, without control characters and without our secrets, should it echo them."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    # Cut before the characters are looked at: the body may be megabytes. Twice, as what is dropped makes room.
    kept = (" " if unicodedata.category(char)[0] in "CZ" else char for char in text[: 2 * EXCERPT_CHARS])
    line = " ".join("".join(kept).split())
    return line if len(line) <= EXCERPT_CHARS else line[: EXCERPT_CHARS - 1] + "…"
