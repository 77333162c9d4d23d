"""The page for whoever adds a provider, done as it says: written, installed by pip, tested and asked."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding-a-provider.md"
MOST_LINES = 60


class Acme(BaseHTTPRequestHandler):
    """The example's server."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = f"You asked: {asked['question'][:40]}"
        body = json.dumps({"answer": answer, "words": len(answer.split())}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not to the terminal."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Acme) as server:
        running = threading.Thread(target=server.serve_forever, daemon=True)
        running.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        running.join()


def blocks() -> list[str]:
    """What the page says to write, in its order: module, entry point, test."""
    tokens = MarkdownIt().parse(PAGE.read_text("utf-8"))
    return [token.content for token in tokens if token.type == "fence"]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, address: str) -> Path:
    """The package as the page has it, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("acme")
    module, project, test = blocks()
    (folder / "acme_llm.py").write_text(module, "utf-8")
    (folder / "pyproject.toml").write_text(project, "utf-8")
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        *quiet,
        *offline,
        "--target",
        str(folder / "site"),
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    tests = folder / "site"
    (tests / "test_acme.py").write_text(test, "utf-8")
    fixture = f'import pytest\n\n\n@pytest.fixture\ndef address():\n    return "{address}"\n'
    (tests / "conftest.py").write_text(fixture, "utf-8")
    return tests


def run(package: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """In the package's folder, with nothing of this repository's test configuration."""
    environment = {
        "PYTHONPATH": f"{ROOT}:{package}",
        "PATH": "/usr/bin:/bin",
        "ACME_ADDRESS": "set by the caller",
    }
    return subprocess.run(
        [sys.executable, *command],
        cwd=package,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_it_takes_no_more_than_60_lines() -> None:
    module, *_ = (block for block in blocks())
    written = sum(len([line for line in block.splitlines() if line.strip()]) for block in blocks())
    assert len(module.splitlines()) <= MOST_LINES
    assert written <= MOST_LINES


def test_the_packages_own_test_passes(package: Path) -> None:
    done = run(package, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_acme.py")
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_it_is_found_built_and_asked_like_any_other(package: Path, address: str) -> None:
    code = f"""
import asyncio, random
from llm_service.providers.registry import ProviderContext, build, installed
from llm_service.providers.protocol import CompletionRequest, Message
from llm_service.resilience.clock import SystemClock
assert "acme" in installed()
context = ProviderContext({{"address": "{address}"}}, SystemClock(), random.Random(1), lambda: "id")
async def main():
    provider = build("acme", context)
    print((await provider.complete(CompletionRequest((Message("user", "who?"),)))).text)
    await provider.close()
asyncio.run(main())
"""
    done = run(package, "-c", code)
    assert done.stdout == "You asked: who?\n", done.stderr
