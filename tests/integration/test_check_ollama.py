"""``check ollama`` on a real server with a small model, and on what is no Ollama."""

from __future__ import annotations

import httpx
import pytest

from llm_service.cli.checking.finding import Verdict
from llm_service.cli.checking.ollama import probe
from tests.integration.checked import answering, checked, http, silent
from tests.services.ollama import Ollama
from tests.services.ports import free_port


def values_of(base_url: str, model: str = "qwen3:8b", **more: str) -> dict[str, str]:
    return {"OLLAMA_BASE_URL": base_url, "OLLAMA_MODEL": model, **more}


async def test_a_server_with_the_model(ollama: Ollama) -> None:
    found = await checked(probe, values_of(ollama.base_url, ollama.model, OLLAMA_NUM_CTX_MAX="8192"))
    assert set(found.verdicts().values()) == {Verdict.OK}, found.text()
    connection = found.about("connection")
    assert connection.seen == f"Ollama {ollama.version()}"
    assert connection.seconds is not None
    model = found.about(f"model {ollama.model}").seen
    assert model == "0.5 MB, context 32,768 tokens, up to 8,192 of them are used"


@pytest.mark.parametrize(("keep_alive", "seen"), [("1m", "loaded, "), (0, "not loaded")])
async def test_whether_it_is_in_memory_now(ollama: Ollama, keep_alive: str | int, seen: str) -> None:
    async with httpx.AsyncClient(base_url=ollama.base_url, timeout=60, trust_env=False) as client:
        asked = {"model": ollama.model, "keep_alive": keep_alive, "stream": False}
        (await client.post("/api/generate", json=asked)).raise_for_status()
    found = await checked(probe, values_of(ollama.base_url, f"{ollama.model}:latest"))
    assert found.about("memory").seen.startswith(seen)


async def test_a_model_that_is_not_there(ollama: Ollama) -> None:
    failed = (await checked(probe, values_of(ollama.base_url))).failed()
    assert failed.subject == "model qwen3:8b"
    assert f"{ollama.model}:latest" in failed.seen
    assert str(failed.remedy).startswith("ollama pull qwen3:8b ")


async def test_it_is_not_used() -> None:
    found = await checked(probe, {})
    assert set(found.verdicts().values()) == {Verdict.SKIPPED}


@pytest.mark.parametrize(
    "answer",
    [
        http(404, "page not found", "text/plain"),
        http(200, "<html>hello</html>", "text/html"),
        http(200, '{"object": "list", "data": []}'),
        http(200, "[]"),
        http(302, ""),
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
    ids=["not found", "a page", "another API", "a list", "elsewhere", "no HTTP"],
)
async def test_something_else_answers(answer: bytes) -> None:
    async with answering(answer) as port:
        failed = (await checked(probe, values_of(f"http://127.0.0.1:{port}"))).failed()
    assert failed.subject == "connection"
    assert "it is not Ollama" in failed.seen
    assert "OLLAMA_BASE_URL" in str(failed.remedy)


async def test_nothing_listens() -> None:
    failed = (await checked(probe, values_of(f"http://localhost:{free_port()}"))).failed()
    assert "refuses connections" in failed.seen
    assert "in a container localhost is the container itself" in str(failed.remedy)


async def test_nobody_knows_the_host() -> None:
    failed = (await checked(probe, values_of("http://nobody.invalid:11434"))).failed()
    assert "'nobody.invalid' is not known here" in failed.seen


async def test_a_port_that_is_none() -> None:
    failed = (await checked(probe, values_of("http://127.0.0.1:99999"))).failed()
    assert "port" in failed.seen


async def test_it_is_silent() -> None:
    async with silent() as port:
        failed = (await checked(probe, values_of(f"http://127.0.0.1:{port}"))).failed()
    assert "stays silent" in failed.seen


async def test_tls_where_there_is_none(ollama: Ollama) -> None:
    failed = (await checked(probe, values_of(ollama.base_url.replace("http:", "https:")))).failed()
    assert "plain HTTP" in failed.seen


async def test_each_of_several_addresses_is_looked_at(ollama: Ollama) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    found = await checked(probe, values_of(f"{ollama.base_url}, http://{nobody}", ollama.model))
    host = ollama.base_url.removeprefix("http://").rstrip("/")
    assert found.about(f"connection at {host}").verdict is Verdict.OK
    assert found.about(f"connection at {nobody}").verdict is Verdict.FAILED
