"""What the probes share: addresses, the time a probe has, names of models."""

from __future__ import annotations

import asyncio

import pytest

from llm_service.cli.checking.address import Address, Unreached
from llm_service.cli.checking.collection import Collection
from llm_service.cli.checking.finding import Verdict
from llm_service.cli.checking.gigachat_host import origin
from llm_service.providers.ollama_survey import full_name


@pytest.mark.parametrize(
    ("url", "host", "port", "shown"),
    [
        ("https://api.example.org/v1", "api.example.org", 443, "api.example.org:443"),
        ("http://localhost:11434", "localhost", 11434, "localhost:11434"),
        ("http://[::1]:9/x", "::1", 9, "[::1]:9"),
        ("http://example.org", "example.org", 80, "example.org:80"),
    ],
)
def test_an_address_is_read_from_its_url(url: str, host: str, port: int, shown: str) -> None:
    address = Address.of_url(url, "BASE_URL")
    assert (address.host, address.port, str(address)) == (host, port, shown)


@pytest.mark.parametrize("url", ["http://h:99999", "http://h:x"])
def test_a_port_that_is_none_is_said_with_its_setting(url: str) -> None:
    with pytest.raises(Unreached) as caught:
        Address.of_url(url, "BASE_URL")
    assert "BASE_URL" in caught.value.remedy


def test_one_host_is_known_by_its_origin() -> None:
    assert origin("https://a:9443/api/v2/oauth") == origin("https://a:9443")
    assert origin("https://a:9443/x") != origin("https://a/x")


@pytest.mark.parametrize(
    ("model", "full"),
    [
        ("qwen3:8b", "qwen3:8b"),
        ("llama3.2", "llama3.2:latest"),
        ("registry.local:5000/llama", "registry.local:5000/llama:latest"),
        ("hf.co/someone/model:Q4", "hf.co/someone/model:Q4"),
    ],
)
def test_a_model_without_a_tag_is_the_latest(model: str, full: str) -> None:
    assert full_name(model) == full


async def test_what_was_found_before_the_time_is_over_is_kept_and_the_rest_is_a_finding() -> None:
    found = Collection("kafka")

    async def look() -> None:
        found.ok("connection", "there")
        await asyncio.Event().wait()

    first, second = await found.within(look(), "Look at it.", limit_s=0.01)
    assert (first.subject, first.verdict, first.remedy) == ("connection", Verdict.OK, None)
    assert (second.verdict, second.remedy) == (Verdict.FAILED, "Look at it.")
    assert second.component == "kafka"


async def test_cancelling_a_look_is_no_finding() -> None:
    found = Collection("kafka")
    looking = asyncio.create_task(found.within(asyncio.sleep(60), "Look at it."))
    await asyncio.sleep(0)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert found.findings == []
