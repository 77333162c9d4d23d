"""One probe asked with settings of the test's own, and its findings by what was looked at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from llm_service.cli.checking.finding import Finding, Probe, Verdict
from llm_service.resilience.clock import SystemClock
from llm_service.settings import load

PROBE_LIMIT_S = 9.0
"""What a probe may take whatever it meets: the 8 s it allows itself, and leaving."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a probe has found."""

    findings: Sequence[Finding]
    seconds: float

    def about(self, subject: str) -> Finding:
        """The only finding of that subject."""
        found = [finding for finding in self.findings if finding.subject == subject]
        assert len(found) == 1, f"{subject}: {self.text()}"
        return found[0]

    def verdicts(self) -> Mapping[str, Verdict]:
        return {finding.subject: finding.verdict for finding in self.findings}

    def failed(self) -> Finding:
        """The only thing that failed; what it says to do is there."""
        (found,) = [finding for finding in self.findings if finding.verdict is Verdict.FAILED]
        assert found.remedy
        return found

    def text(self) -> str:
        return "\n".join(str(finding) for finding in self.findings)


async def checked(probe: Probe, values: Mapping[str, str]) -> Checked:
    """Ask the probe; what every probe must keep to is looked at here."""
    settings = load(None, values)
    began = time.monotonic()
    findings = await probe(settings, SystemClock())
    seconds = time.monotonic() - began
    assert seconds < PROBE_LIMIT_S
    for finding in findings:
        assert finding.seen
        assert "\n" not in finding.seen
        wrong = finding.verdict in {Verdict.FAILED, Verdict.WARNING}
        assert bool(finding.remedy) == wrong, finding
        assert not finding.remedy or "\n" not in finding.remedy
    shown = "\n".join(str(finding) for finding in findings)
    assert not [secret for secret in settings.secrets() if secret and secret in shown]
    return Checked(findings, seconds)


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """A server that takes connections and says nothing: its port."""
    gone = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        gone.set()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """A server that gives this answer to whatever it is asked, and closes: its port."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def http(status: int, body: str, content_type: str = "application/json") -> bytes:
    """An HTTP answer that ends with its connection."""
    return (
        f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(body.encode())}\r\n"
        f"Connection: close\r\n\r\n{body}"
    ).encode()
