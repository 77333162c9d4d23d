"""What vendors say, made safe to show."""

from __future__ import annotations

import errno
import ssl
from datetime import UTC, datetime

import httpx
import pytest

from llm_service.errors import (
    ProviderAnswerInvalid,
    ProviderError,
    ProviderStreamCut,
    ProviderTimeout,
    ProviderUnavailable,
    SettingsInvalid,
)
from llm_service.providers.http_errors import EXCERPT_CHARS, Refusal, excerpt, from_status, from_transport
from llm_service.providers.options import number
from llm_service.providers.transport import Timeouts

LIMITS = Timeouts(1.0, 2.0)


def test_an_excerpt_is_one_bounded_line_without_control_characters() -> None:
    shown = excerpt("строка\r\n\x1b[31mкрасная\x00 \u202eзадом" + "x" * 5_000_000)
    assert shown.startswith("строка [31mкрасная задом")
    assert shown.isprintable()
    assert len(shown) <= EXCERPT_CHARS


def test_an_excerpt_holds_no_secret_not_even_at_its_end() -> None:
    shown = excerpt("a" * (EXCERPT_CHARS - 5) + "SECRET-KEY", ("SECRET-KEY", ""))
    assert "SECR" not in shown


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectTimeout(""), ProviderUnavailable),
        (httpx.PoolTimeout(""), ProviderUnavailable),
        (httpx.ConnectError(""), ProviderUnavailable),
        (httpx.WriteTimeout(""), ProviderUnavailable),
        (httpx.WriteError(""), ProviderUnavailable),
        (httpx.ReadTimeout(""), ProviderTimeout),
        (httpx.ReadError(""), ProviderStreamCut),
        (httpx.RemoteProtocolError(""), ProviderStreamCut),
        (httpx.TransportError("wrong content type"), ProviderAnswerInvalid),
        (httpx.DecodingError(""), ProviderAnswerInvalid),
        (httpx.UnsupportedProtocol(""), ProviderAnswerInvalid),
    ],
)
def test_a_failed_connection_is_an_outage_only_before_the_request_was_sent(
    error: httpx.HTTPError, kind: type[ProviderError]
) -> None:
    assert type(from_transport(error, "Vendor", "host:1", LIMITS)) is kind


@pytest.mark.parametrize(
    ("code", "is_ours"), [(errno.EMFILE, True), (errno.ENOBUFS, True), (errno.ECONNREFUSED, False)]
)
def test_what_this_machine_is_short_of_is_not_the_vendors_outage(code: int, *, is_ours: bool) -> None:
    """As anyio and httpcore wrap it."""
    error, inner = httpx.ConnectError(""), OSError("All connection attempts failed")
    error.__cause__, inner.__cause__ = inner, OSError(code, "as the kernel says it")
    found = from_transport(error, "Vendor", "host:1", LIMITS)
    assert (found.retryable, found.spent, found.trips) == (True, False, not is_ours)


def test_an_untrusted_certificate_is_named_as_such() -> None:
    error = httpx.ConnectError("")
    cause = ssl.SSLCertVerificationError("as OpenSSL says it")
    cause.verify_message = "self-signed certificate"
    error.__cause__ = cause
    assert "certificate" in from_transport(error, "Vendor", "host:1", LIMITS).message


def test_a_huge_wish_to_wait_is_bounded() -> None:
    refusal = Refusal("Vendor", "answer", 429, {"retry-after": str(2**63)}, "")
    wait = from_status(refusal, datetime.now(UTC)).retry_after
    assert wait is not None
    assert wait <= 3600


@pytest.mark.parametrize("value", [0, -1, "", None, "many", float("nan"), True])
def test_a_limit_is_a_positive_number(value: object) -> None:
    with pytest.raises(SettingsInvalid, match="seconds"):
        number({"seconds": value}, "seconds")
