"""``llm-service providers``: what is installed, configured, reachable, limited and priced, also where something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from tests.integration.command import Ran, run
from tests.services.ports import free_port
from tests.standins.process import OpenAIProcess, openai

OK, CHECK_FAILED, CONFIG = 0, 3, 78
PRICES = """
[[price]]
provider = "openai"
model = "small"
input = 1.5
output = 6
date = 2026-11-21
source = "https://prices.example"
"""


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


def entries(ran: Ran) -> dict[str, dict[str, Any]]:
    return {line["provider"]: line for line in ran.lines}


def test_all_there_is_to_know_of_one(tmp_path: Path, vendor: OpenAIProcess) -> None:
    (tmp_path / "prices.toml").write_text(PRICES)
    limits = {
        "OPENAI_REQUESTS_PER_MINUTE": "500",
        "OPENAI_TOKENS_PER_MINUTE": "200000",
        "OPENAI_LIMIT_SHARE": "0.25",
        "OPENAI_MAX_CONCURRENT": "7",
        "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "4",
        "LLM_PRICES_FILE": "prices.toml",
    }
    ran = run(tmp_path, values_of(vendor, **limits), "providers", "--json")
    assert ran.code == OK, ran.err
    found = entries(ran)
    assert found.keys() == {entry.name for entry in entry_points(group="llm_service.providers")}
    one = found["openai"]
    assert one["package"].startswith("llm-service ")
    assert (one["configured"], one["default"], one["reachable"]) == (True, True, True)
    assert one["models"] == ["large", "seeing", "small"]
    assert one["seconds"] > 0
    assert one["limits"] == {
        "concurrency": 7,
        "requests_per_minute": 500,
        "tokens_per_minute": 200_000,
        "share": 0.25,
        "breaker_failures": 4,
        "breaker_open_s": 30.0,
    }
    (price,) = one["prices"]
    assert (price["input"], price["output"], price["cached"]) == (1.5, 6, None)
    assert (price["date"], price["source"]) == ("2026-11-21", ["https://prices.example"])
    assert found["extractive"]["prices"] is None, "unknown, and not nothing"
    other = found["qwen"]
    assert (other["configured"], other["reachable"], other["limits"]) == (False, None, None)
    assert "QWEN_MODEL" in other["reason"]


def test_as_a_table(tmp_path: Path, vendor: OpenAIProcess) -> None:
    ran = run(tmp_path, values_of(vendor, OPENAI_REQUESTS_PER_MINUTE="500"), "providers")
    assert ran.code == OK
    rows = {line.split()[0]: line for line in ran.out.splitlines()}
    assert "default" in rows["openai"]
    assert "3 models" in rows["openai"]
    assert "500 requests" in rows["openai"]
    assert "unknown" in rows["openai"], "its address is not the vendor's"
    assert "not configured: set GIGACHAT_ACCESS_TOKEN" in rows["gigachat"]
    assert ran.err == ""


def test_a_server_that_is_down(tmp_path: Path, vendor: OpenAIProcess) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    more = {"OLLAMA_BASE_URL": away, "OLLAMA_MODEL": "some", "LLM_PROVIDER": "openai"}
    ran = run(tmp_path, values_of(vendor, **more), "providers", "--json")
    assert ran.code == CHECK_FAILED
    found = entries(ran)
    assert found["ollama"]["reachable"] is False
    assert away.removeprefix("http://") in found["ollama"]["reason"]
    assert found["openai"]["reachable"] is True, "the others are told all the same"
    shown = run(tmp_path, values_of(vendor, **more), "providers")
    assert "FAILED: ollama: " in shown.err


def test_a_key_that_is_wrong_is_said_and_not_shown(tmp_path: Path, vendor: OpenAIProcess) -> None:
    secret = "sk-wrong-and-secret-0123456789"
    ran = run(tmp_path, values_of(vendor, OPENAI_API_KEY=secret), "providers", "--json")
    assert ran.code == CHECK_FAILED
    assert "check OPENAI_API_KEY" in entries(ran)["openai"]["reason"]
    assert secret not in ran.out + ran.err


def test_one_that_is_silent_is_not_waited_for(tmp_path: Path, vendor: OpenAIProcess) -> None:
    vendor.tell(kind="models", silence=20)
    try:
        ran = run(tmp_path, values_of(vendor), "providers", "--json", "--timeout", "1")
    finally:
        vendor.forget()
    assert ran.code == CHECK_FAILED
    assert "did not answer within 1 s" in entries(ran)["openai"]["reason"]


def test_nobody_is_asked_offline(tmp_path: Path, vendor: OpenAIProcess) -> None:
    before = len(vendor.requests(""))
    ran = run(tmp_path, values_of(vendor), "providers", "--offline", "--json")
    assert ran.code == OK
    assert entries(ran)["openai"]["reachable"] is None
    assert entries(ran)["openai"]["models"] == []
    assert len(vendor.requests("")) == before


def test_none_is_configured(tmp_path: Path) -> None:
    ran = run(tmp_path, {}, "providers", "--json")
    assert ran.code == OK
    found = entries(ran)
    assert [name for name, entry in found.items() if entry["configured"]] == ["extractive"]
    assert "which is no LLM" in ran.err


def test_prices_that_cannot_be_read_are_a_setting_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text("[[price]]\nprovider = 3\n")
    ran = run(tmp_path, {"LLM_PRICES_FILE": "prices.toml"}, "providers")
    assert ran.code == CONFIG
    assert "LLM_PRICES_FILE" in ran.err
    assert "row 1 of price: provider must be a text" in ran.err
