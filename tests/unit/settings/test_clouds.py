"""Vendors of OpenAI's protocol: used when they have a model and a key, and in their order."""

from __future__ import annotations

import pytest

from llm_service.container.providers import configured_fallback, configured_providers
from llm_service.errors import SettingsInvalid
from llm_service.settings import Settings, load
from llm_service.settings.clouds import CLOUD_GROUPS, CloudSettings
from llm_service.tasks.plan import Choice


def settings(**environ: str) -> Settings:
    return load(None, {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", **environ})


def test_a_key_alone_asks_for_nothing() -> None:
    """Keys of these names lie in many environments, for other programs."""
    assert settings(OPENAI_API_KEY="sk-1").clouds == {}
    assert configured_providers(settings(OPENAI_API_KEY="sk-1"))[0] == "extractive"


def test_a_model_makes_it_a_provider_and_needs_the_key() -> None:
    with pytest.raises(SettingsInvalid, match=r"OPENAI_API_KEY .*required by OPENAI_MODEL"):
        settings(OPENAI_MODEL="small")
    found = settings(OPENAI_MODEL="small", OPENAI_API_KEY="sk-1")
    assert configured_providers(found) == ["openai", "extractive"]
    assert found.clouds["openai"].model_dump()["base_url"] == "https://api.openai.com/v1"
    assert "sk-1" in found.secrets()


def test_a_server_of_ones_own_needs_no_key() -> None:
    found = settings(COMPATIBLE_MODEL="local", COMPATIBLE_BASE_URL="http://vllm:8000/v1")
    assert configured_providers(found)[0] == "compatible"


def test_the_order_is_the_one_of_the_tree_behind_gigachat_and_ollama() -> None:
    keys = {f"{name.upper()}_API_KEY": "k" for name in CLOUD_GROUPS}
    models = {f"{name.upper()}_MODEL": "m" for name in CLOUD_GROUPS}
    found = settings(**keys, **models, OLLAMA_MODEL="tiny")
    assert configured_providers(found)[: 1 + len(CLOUD_GROUPS)] == ["ollama", *CLOUD_GROUPS]


def test_each_reads_the_names_of_its_own() -> None:
    for name in CLOUD_GROUPS:
        group = Settings.model_fields[name].annotation
        assert isinstance(group, type)
        assert issubclass(group, CloudSettings)
        assert group.prefix == name.upper()
        aliases = {str(field.validation_alias) for field in group.model_fields.values()}
        assert all(alias.startswith(f"{group.prefix}_") for alias in aliases)


def test_kimis_lowest_tier_takes_one_call_at_once() -> None:
    found = settings(MOONSHOT_MODEL="kimi", MOONSHOT_API_KEY="k")
    assert found.clouds["moonshot"].max_concurrent == 1


def test_a_list_of_the_settings_names_what_is_configured() -> None:
    there = {"OPENAI_MODEL": "m", "OPENAI_API_KEY": "k", "OLLAMA_MODEL": "tiny"}
    found = configured_fallback(settings(**there, LLM_FALLBACK="openai=large, Ollama, extractive"))
    assert found == (Choice("openai", "large"), Choice("ollama", None), Choice("extractive", None))
    with pytest.raises(SettingsInvalid, match=r"LLM_FALLBACK=litellm: no such provider is .* configured"):
        configured_fallback(settings(**there, LLM_FALLBACK="openai,litellm"))
