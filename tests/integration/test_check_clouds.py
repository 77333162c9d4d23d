"""``check openai`` and its like on a stand-in, and ``check gguf`` on a folder."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from llm_service.cli.checking import cloud, gguf
from llm_service.cli.checking.finding import Verdict
from llm_service.cli.checking.probes import names_to_look_at
from llm_service.settings import load
from llm_service.settings.clouds import CLOUD_GROUPS
from tests.integration.checked import answering, checked, http, silent
from tests.services.ports import free_port
from tests.standins.process import OpenAIProcess, openai

PROBE = partial(cloud.probe, "openai")


@pytest.fixture(scope="module")
def vendor() -> Iterator[OpenAIProcess]:
    with openai("openai") as running:
        yield running


def values_of(vendor: OpenAIProcess, **more: str) -> dict[str, str]:
    return {
        "OPENAI_BASE_URL": f"{vendor.base_url}/v1",
        "OPENAI_API_KEY": vendor.key,
        "OPENAI_MODEL": "small",
        **more,
    }


async def test_a_vendor_that_is_well(vendor: OpenAIProcess) -> None:
    found = await checked(PROBE, values_of(vendor))
    assert found.about("connection").verdict is Verdict.OK
    assert found.about("model small").seen == "one of 3"
    assert found.about("TLS").verdict is Verdict.WARNING, "the stand-in speaks plain HTTP"


@pytest.mark.parametrize("name", CLOUD_GROUPS)
async def test_each_that_is_not_configured_is_skipped(name: str) -> None:
    found = await checked(partial(cloud.probe, name), {})
    (finding,) = found.findings
    assert (finding.component, finding.verdict) == (name, Verdict.SKIPPED)
    assert f"{name.upper()}_MODEL" in finding.seen


@pytest.mark.usefixtures("litellm_library")
async def test_a_library_that_is_there_is_well_and_asks_nobody(vendor: OpenAIProcess) -> None:
    values = {"LITELLM_MODEL": "openai/small", "LITELLM_BASE_URL": f"{vendor.base_url}/v1"}
    before = len(vendor.requests(""))
    (finding,) = (await checked(partial(cloud.probe, "litellm"), values)).findings
    assert finding.verdict is Verdict.OK
    assert "openai/small: the key is not tried" in finding.seen
    assert len(vendor.requests("")) == before
    failed = (await checked(partial(cloud.probe, "litellm"), values | {"LITELLM_MODEL": "small"})).failed()
    assert "write the vendor before it" in failed.seen


async def test_a_key_that_is_wrong(vendor: OpenAIProcess) -> None:
    failed = (await checked(PROBE, values_of(vendor, OPENAI_API_KEY="sk-wrong-0123456789"))).failed()
    assert failed.subject == "key"
    assert "HTTP 401" in failed.seen
    assert "OPENAI_API_KEY" in str(failed.remedy)


async def test_a_model_that_the_account_has_not(vendor: OpenAIProcess) -> None:
    failed = (await checked(PROBE, values_of(vendor, OPENAI_MODEL="gpt-99"))).failed()
    assert failed.subject == "model gpt-99"
    assert "large, seeing, small" in failed.seen


async def test_it_asks_to_come_later(vendor: OpenAIProcess) -> None:
    vendor.tell(kind="models", status=429)
    try:
        found = await checked(PROBE, values_of(vendor))
    finally:
        vendor.forget()
    assert found.about("models").verdict is Verdict.WARNING


async def test_nothing_listens() -> None:
    address = f"http://127.0.0.1:{free_port()}/v1"
    values = {"OPENAI_BASE_URL": address, "OPENAI_API_KEY": "sk-0123456789", "OPENAI_MODEL": "small"}
    failed = (await checked(PROBE, values)).failed()
    assert "refuses connections" in failed.seen
    assert "OPENAI_BASE_URL" in str(failed.remedy)


async def test_something_else_answers(vendor: OpenAIProcess) -> None:
    async with answering(http(404, "page not found", "text/plain")) as port:
        found = await checked(PROBE, values_of(vendor, OPENAI_BASE_URL=f"http://127.0.0.1:{port}"))
    assert "OPENAI_BASE_URL" in str(found.failed().remedy)


async def test_it_takes_the_connection_and_is_silent(vendor: OpenAIProcess) -> None:
    async with silent() as port:
        failed = (
            await checked(PROBE, values_of(vendor, OPENAI_BASE_URL=f"http://127.0.0.1:{port}"))
        ).failed()
    assert failed.subject == "answer"


def test_only_those_that_are_used_are_looked_at(vendor: OpenAIProcess) -> None:
    usual = ["kafka", "minio", "postgres", "gigachat", "ollama"]
    assert names_to_look_at(load(None, {}), ()) == usual
    assert names_to_look_at(load(None, values_of(vendor)), ()) == [*usual, "openai"]
    assert names_to_look_at(load(None, {}), ("qwen", "kafka")) == ["kafka", "qwen"]


async def test_the_engine_is_not_used() -> None:
    found = await checked(gguf.probe, {})
    assert set(found.verdicts().values()) == {Verdict.SKIPPED}


async def test_a_folder_without_the_model(tmp_path: Path) -> None:
    found = await checked(gguf.probe, {"GGUF_FOLDER": str(tmp_path), "GGUF_MODEL": "absent"})
    failed = found.failed()
    assert failed.subject in {"engine", "model absent"}
    if failed.subject != "engine":  # where it is not installed, that is the first to be said
        assert found.about("folder").seen == "models: none"
