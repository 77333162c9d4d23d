"""Starting a stand-in in its own process, and talking to it."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx

from tests.standins.certificates import LIFE, make_certificates
from tests.standins.request_log import LoggedRequest, read_log

ROOT = Path(__file__).resolve().parents[2]
STOP_S = 5.0


class StandinProcess:
    """A stand-in that runs; ``base_url`` is its origin."""

    def __init__(
        self, address: str, log: Path, ca_bundle: Path | None, process: subprocess.Popen[bytes]
    ) -> None:
        self.base_url = address
        self.log = log
        self.process = process
        verify = ssl.create_default_context(cafile=ca_bundle)
        self._http = httpx.Client(base_url=address, verify=verify, trust_env=False, timeout=10.0)

    def tell(self, **instruction: object) -> None:
        """Instruct it: ``fault="cut"`` or fields of ``Behaviour``, with ``match``, ``kind`` and ``times``."""
        self._http.post("/_control", json=instruction).raise_for_status()

    def set(self, **settings: object) -> None:
        """Change how it is set up."""
        self._http.post("/_control", json={"set": settings}).raise_for_status()

    def forget(self) -> None:
        """Take all instructions back."""
        self._http.request("DELETE", "/_control").raise_for_status()

    def state(self) -> dict[str, object]:
        """Counts by kind (active, most_active, total), and the vendor's own."""
        found: dict[str, object] = self._http.get("/_control").raise_for_status().json()
        return found

    def requests(self, kind: str = "chat") -> list[LoggedRequest]:
        """What it was asked, from the log; of every kind when ``kind`` is empty."""
        return [request for request in read_log(self.log) if not kind or request.kind == kind]

    def close(self) -> None:
        self._http.close()


class GigaChatProcess(StandinProcess):
    """GigaChat's stand-in, and the settings to reach it with."""

    def __init__(
        self,
        address: str,
        log: Path,
        ca_bundle: Path,
        process: subprocess.Popen[bytes],
        ready: dict[str, str],
    ) -> None:
        super().__init__(address, log, ca_bundle, process)
        self.ca_bundle = ca_bundle
        self.oauth_url = f"{address}/api/v2/oauth"
        self.api_version = "api/v1"
        self.authorization_key = ready["authorization_key"]
        self.scope = ready["scope"]

    def options(self) -> dict[str, object]:
        """Options of the provider that speaks to this stand-in, with short limits."""
        return {
            "access_token": self.authorization_key,
            "model": "GigaChat",
            "scope": self.scope,
            "verify_ssl": True,
            "ca_bundle": str(self.ca_bundle),
            "request_timeout_seconds": 5.0,
            "connect_timeout_seconds": 2.0,
            "max_connections": 50,
            "base_url": self.base_url,
            "api_version": self.api_version,
            "oauth_url": self.oauth_url,
        }


@contextmanager
def gigachat(
    *,
    folder: Path | None = None,
    port: int = 0,
    instant: bool = False,
    bodies: bool = False,
    token_life_s: float = 1800,
    certificate_ends_in: timedelta = LIFE,
) -> Iterator[GigaChatProcess]:
    """Run GigaChat's stand-in over TLS. ``bodies`` logs what was sent, which a storm does not want."""
    with _folder(folder) as place:
        certificates = make_certificates(place, certificate_ends_in)
        log = place / "gigachat.jsonl"
        arguments = ["--log", str(log), "--port", str(port), "--token-life", str(token_life_s)]
        arguments += ["--certificate", str(certificates.certificate), "--key", str(certificates.key)]
        arguments += ["--instant"] * instant + ["--log-bodies"] * bodies
        with _started("tests.standins.gigachat", arguments) as (process, ready):
            running = GigaChatProcess(ready["address"], log, certificates.ca_bundle, process, ready)
            try:
                yield running
            finally:
                running.close()


@contextmanager
def ollama(*, folder: Path | None = None, port: int = 0, bodies: bool = False) -> Iterator[StandinProcess]:
    """Run Ollama's stand-in, for the faults that a real one can't be made to have."""
    with _folder(folder) as place:
        log = place / "ollama.jsonl"
        arguments = ["--log", str(log), "--port", str(port)] + ["--log-bodies"] * bodies
        with _started("tests.standins.ollama", arguments) as (process, ready):
            running = StandinProcess(ready["address"], log, None, process)
            try:
                yield running
            finally:
                running.close()


class OpenAIProcess(StandinProcess):
    """A stand-in of OpenAI's protocol, and the options to reach it with."""

    key = ""

    def options(self) -> dict[str, object]:
        """Options of the provider that speaks to this stand-in."""
        return {"base_url": f"{self.base_url}/v1", "api_key": self.key, "model": "small"}


@contextmanager
def openai(
    vendor: str = "openai", *, folder: Path | None = None, port: int = 0, bodies: bool = False
) -> Iterator[OpenAIProcess]:
    """Run a vendor of OpenAI's protocol."""
    with _folder(folder) as place:
        log = place / f"{vendor}.jsonl"
        arguments = ["--vendor", vendor, "--log", str(log), "--port", str(port)] + ["--log-bodies"] * bodies
        with _started("tests.standins.openai", arguments) as (process, ready):
            running = OpenAIProcess(ready["address"], log, None, process)
            running.key = ready["key"]
            try:
                yield running
            finally:
                running.close()


@contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="standin-") as made:
        yield Path(made)


@contextmanager
def _started(module: str, arguments: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:  # closes the pipes and waits
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, f"{module} did not start"
            yield process, json.loads(line)
        finally:
            process.stdin.close()  # its sign to end
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
