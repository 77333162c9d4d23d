"""What a refusal of the server means."""

from __future__ import annotations

import pytest

from llm_service.errors import (
    ContextTooLong,
    ModelNotFound,
    ProviderError,
    ProviderRateLimited,
    ProviderUnavailable,
    RequestRejected,
)
from llm_service.providers.ollama_client import OllamaRefusedError
from llm_service.providers.ollama_options import OllamaOptions
from llm_service.providers.ollama_server import OllamaServer
from llm_service.providers.transport import Timeouts
from tests.manual_clock import ManualClock

TOO_LONG = b'{"error":"the input length exceeds the context length"}'


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, TOO_LONG, ContextTooLong),
        (400, b'{"error":"invalid format"}', RequestRejected),
        (404, b'{"error":"model not found"}', ModelNotFound),
        (503, b'{"error":"server busy, tiny is loading"}', ProviderRateLimited),
        (502, b"tiny bad gateway", ProviderUnavailable),
    ],
)
async def test_a_refusal_is_named(status: int, body: bytes, kind: type[ProviderError]) -> None:
    options = OllamaOptions(("http://127.0.0.1:1",), "tiny", Timeouts(1.0, 1.0), 8_192, None)
    server = OllamaServer(options.addresses[0], options, ManualClock())
    error = server.refused(OllamaRefusedError(status, {}, body), "answer the chat", "tiny")
    assert type(error) is kind
    assert "tiny" in error.message or "invalid format" in error.message
    await server.close()
