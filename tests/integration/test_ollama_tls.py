"""Ollama behind TLS of a company's own: OLLAMA_CA_BUNDLE, on a real server behind a line that encrypts."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from llm_service.cli.checking.ollama import probe
from llm_service.container.providers import build_guards
from llm_service.errors import ProviderError
from llm_service.resilience.clock import SystemClock
from llm_service.settings import load
from tests.integration.checked import checked
from tests.services.ollama import Ollama
from tests.standins.certificates import Certificates, make_certificates


@asynccontextmanager
async def behind_tls(url: str, certificates: Certificates) -> AsyncIterator[str]:
    """The address of a line to ``url`` that shows this certificate."""
    there = urlsplit(url)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    pipes: set[asyncio.Task[None]] = set()

    async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        except OSError:
            return
        finally:
            sink.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(there.hostname, there.port)
        pipes.update(asyncio.create_task(pipe(*each)) for each in ((reader, forth), (back, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in pipes:
            task.cancel()
        await asyncio.gather(*pipes, return_exceptions=True)


async def models_of(values: dict[str, str]) -> list[str]:
    guard = build_guards(load(None, values), SystemClock(), random.Random(1), lambda _: None)["ollama"]
    try:
        return [*await guard.provider.models()]
    finally:
        await guard.close()


async def test_a_certificate_of_the_bundle_is_trusted_and_no_other(ollama: Ollama, tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    async with behind_tls(ollama.base_url, certificates) as url:
        values = {"OLLAMA_BASE_URL": url, "OLLAMA_MODEL": ollama.model}
        trusting = values | {"OLLAMA_CA_BUNDLE": str(certificates.ca_bundle)}
        found = await checked(probe, trusting)
        assert found.about("connection").seen.startswith("Ollama ")
        assert any(name.startswith(ollama.model) for name in await models_of(trusting))
        failed = (await checked(probe, values)).failed()
        assert "its certificate is not trusted here" in failed.seen
        assert "OLLAMA_CA_BUNDLE" in str(failed.remedy)
        with pytest.raises(ProviderError, match=r"is not trusted .* OLLAMA_CA_BUNDLE"):
            await models_of(values)
