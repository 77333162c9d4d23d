"""The small parts of OpenAI's protocol: events, times in headers, and errors in all their forms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from llm_service.errors import (
    ContextTooLong,
    ModelNotFound,
    ProviderAccountError,
    ProviderError,
    ProviderRateLimited,
    ProviderServerError,
    ProviderUnavailable,
    RequestRejected,
)
from llm_service.providers.compatible.quota import quota_of, seconds_of, wait_of
from llm_service.providers.compatible.refusal import broken_off, refused
from llm_service.providers.compatible.request import _is_strict
from llm_service.providers.compatible.sse import events
from llm_service.providers.compatible.vendors import (
    COMPATIBLE,
    GOOGLE,
    OPENAI,
    OPENROUTER,
    VENDORS,
)
from llm_service.providers.protocol import Quota

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


async def _parts(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(
    ("parts", "data"),
    [
        ([b"data: a\n\ndata: b\n\n"], ["a", "b"]),
        ([b"data: a", b"b\n", b"\n"], ["ab"]),
        ([b"data:a\r\n\r\n"], ["a"]),
        ([b": still there\n\ndata: a\n\n"], ["", "a"]),
        ([b"event: message\nid: 1\ndata: a\ndata: b\n\n"], ["a\nb"]),
        ([b"data: a\n\ndata: broken off\n"], ["a"]),
        (['data: {"a": "x\u2028y"}\n\n'.encode()], ['{"a": "x\u2028y"}']),
        (["data: Приве".encode()[:-1], "data: Приве".encode()[-1:] + b"\n\n"], ["Приве"]),
        ([b""], []),
    ],
)
async def test_events(parts: list[bytes], data: list[str]) -> None:
    assert [event async for event in events(_parts(*parts))] == data


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("20ms", 0.02),
        ("1h2m3.5s", 3600),  # bounded to an hour
        ("1.5", 1.5),
        ("2026-11-21T12:00:30Z", 30),
        ("2026-11-21T11:00:30Z", 0),
        (str(int(NOW.timestamp()) + 7), 7),
        (str((int(NOW.timestamp()) + 7) * 1000), 7),
        ("soon", None),
        ("", None),
        (None, None),
        ("-1", None),
    ],
)
def test_times_in_headers(value: str | None, seconds: float | None) -> None:
    assert seconds_of(value, NOW) == seconds


def test_quota_and_wait() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "3",
        "x-ratelimit-reset-tokens": "2s",
        "retry-after-ms": "250",
    }
    assert quota_of(headers, OPENAI.quota, NOW) == Quota(3, None, None, 2)
    assert quota_of({"x-ratelimit-remaining-requests": "many"}, OPENAI.quota, NOW) is None
    assert quota_of(headers, GOOGLE.quota, NOW) is None
    limits = {"x-ratelimit-limit-requests": "60", "x-ratelimit-limit-tokens": "40000"}
    assert quota_of(limits, OPENAI.quota, NOW) == Quota(requests_limit=60, tokens_limit=40_000)
    assert quota_of({"x-ratelimit-limit": "20"}, OPENROUTER.quota, NOW) == Quota(requests_limit=20)
    assert quota_of({"x-ratelimit-limit-requests": "10;w=1"}, OPENAI.quota, NOW) is None
    assert wait_of(headers, NOW) == 0.25
    assert wait_of({"retry-after": "9"}, NOW) == 9
    assert wait_of({"retry-after-ms": "x", "retry-after": "9"}, NOW) == 9


def error(vendor: str, status: int, body: bytes) -> ProviderError:
    return refused(VENDORS[vendor], "answer the chat", status, {}, body, "sk-key", NOW)


@pytest.mark.parametrize(
    ("vendor", "status", "body", "kind"),
    [
        ("openai", 429, b'{"error": {"type": "insufficient_quota", "code": null}}', ProviderAccountError),
        (
            "openai",
            429,
            b'{"error": {"type": "requests", "code": "rate_limit_exceeded"}}',
            ProviderRateLimited,
        ),
        ("openai", 400, b'{"error": {"code": "context_length_exceeded"}}', ContextTooLong),
        ("openai", 400, b'{"error": {"code": "unknown_parameter"}}', RequestRejected),
        ("qwen", 400, b'{"code": "Arrearage", "message": "Access denied"}', ProviderAccountError),
        ("moonshot", 429, b'{"error": {"type": "engine_overloaded_error"}}', ProviderRateLimited),
        ("google", 400, b'[{"error": {"details": [{"reason": "API_KEY_INVALID"}]}}]', ProviderAccountError),
        ("anthropic", 529, b'{"error": {"type": "overloaded_error"}}', ProviderUnavailable),
        (
            "openrouter",
            400,
            b'{"error": {"message": "x is not a valid model ID", "code": 400}}',
            ModelNotFound,
        ),
        ("compatible", 500, b"<html>no JSON</html>", ProviderServerError),
        ("compatible", 400, b'{"error": "a text alone"}', RequestRejected),
        ("compatible", 503, b"", ProviderUnavailable),
        ("compatible", 400, b"[" * 100_000, RequestRejected),
    ],
)
def test_what_a_body_says(vendor: str, status: int, body: bytes, kind: type[ProviderError]) -> None:
    found = error(vendor, status, body)
    assert type(found) is kind, found
    assert found.message.isprintable()


def test_googles_delay_and_a_key_that_is_echoed() -> None:
    found = error(
        "google", 429, b'[{"error": {"message": "sk-key slow", "details": [{"retryDelay": "17s"}]}}]'
    )
    assert found.retry_after == 17
    assert "sk-key" not in found.message


def test_an_error_under_200_counts_by_its_own_status() -> None:
    limited = broken_off(OPENROUTER, "answer", {"error": {"code": 429, "message": "slow"}}, "", NOW)
    assert type(limited) is ProviderRateLimited
    unknown = broken_off(COMPATIBLE, "answer", {"error": {"message": "odd"}}, "", NOW)
    assert type(unknown) is ProviderServerError


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "object", "properties": {}, "required": [], "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {}}, "required": [], "additionalProperties": False}, False),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, False),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "array", "items": {"type": "object"}}},
                "required": ["a"],
                "additionalProperties": False,
            },
            False,
        ),
    ],
)
def test_strict_mode_is_for_schemas_that_leave_nothing_open(schema: object, strict: object) -> None:
    assert _is_strict(schema) is strict
