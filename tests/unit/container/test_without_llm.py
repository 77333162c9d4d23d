"""That no LLM is configured is said, unless it is meant."""

from __future__ import annotations

import pytest

from llm_service.container.providers import without_llm
from llm_service.settings import load


def test_a_forgotten_key_is_told_with_the_names_that_are_missing() -> None:
    told = without_llm(load(None, {}))
    assert told is not None
    for name in ("GIGACHAT_ACCESS_TOKEN", "OLLAMA_MODEL", "LLM_PROVIDER=extractive"):
        assert name in told


@pytest.mark.parametrize(
    "environ", [{"GIGACHAT_ACCESS_TOKEN": "a2V5"}, {"OLLAMA_MODEL": "m"}, {"LLM_PROVIDER": "extractive"}]
)
def test_nothing_is_said_of_a_choice(environ: dict[str, str]) -> None:
    assert without_llm(load(None, environ)) is None
