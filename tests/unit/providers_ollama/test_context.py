"""The context a prompt needs, and what the model has."""

from __future__ import annotations

import pytest

from llm_service.errors import ContextTooLong
from llm_service.providers.context_need import ANSWER_TOKENS, PICTURE_TOKENS, ContextNeed
from llm_service.providers.ollama_context import SMALLEST, ModelFacts, context_sizes
from llm_service.providers.protocol import Message

ROOMY = ModelFacts(None, sees=False)


def need(text: str, max_tokens: int | None = 100) -> ContextNeed:
    return ContextNeed.of([Message("user", text)], 0, max_tokens)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The quick brown fox jumps over the lazy dog. " * 100, 1000),  # 10 a sentence by common tokenizers
        ("Съешь же ещё этих мягких французских булок, да выпей чаю. " * 100, 1900),
        ("汉字" * 500, 1000),
    ],
    ids=["English", "Russian", "Chinese"],
)
def test_the_estimate_is_above_what_tokenizers_make_of_it(text: str, tokens: int) -> None:
    assert need(text).estimate >= tokens


def test_at_most_a_token_a_byte() -> None:
    assert need("ж" * 3000).most >= 6000


def test_room_for_the_answer_and_for_pictures() -> None:
    assert need("", None).estimate - need("", 0).estimate == ANSWER_TOKENS
    assert ContextNeed.of([], 2, 0).estimate - ContextNeed.of([], 0, 0).estimate == 2 * PICTURE_TOKENS


def test_sizes_are_few_so_that_the_model_is_not_loaded_again_for_each_length() -> None:
    sizes = {context_sizes(need("a" * length), "m", ROOMY, 32_768)[0] for length in range(0, 90_000, 1_000)}
    assert sizes == {4096, 8192, 16_384, 32_768}


def test_a_second_size_covers_a_tokenizer_that_does_not_know_the_language() -> None:
    assert context_sizes(need("a" * 9_000), "m", ROOMY, 32_768) == (SMALLEST, 16_384)
    assert context_sizes(need("a" * 900), "m", ROOMY, 32_768) == (SMALLEST,)
    assert context_sizes(need("a" * 90_000), "m", ROOMY, 32_768) == (32_768,)


def test_the_models_own_length_is_a_limit_too() -> None:
    assert context_sizes(need("a" * 30_000), "m", ModelFacts(10_500, sees=False), 32_768) == (10_500,)
    assert context_sizes(need("a"), "m", ModelFacts(2048, sees=False), 32_768) == (2048,)


def test_what_does_not_fit_is_refused_with_both_numbers() -> None:
    with pytest.raises(ContextTooLong, match=r"about 20\d\d\d tokens.*context of 8192.*OLLAMA_NUM_CTX_MAX"):
        context_sizes(need("a" * 60_000), "m", ROOMY, 8192)
    with pytest.raises(ContextTooLong, match="the model's own length"):
        context_sizes(need("a" * 60_000), "m", ModelFacts(4096, sees=False), 32_768)


def test_facts_come_under_the_architectures_name() -> None:
    info = {"general.architecture": "qwen2", "qwen2.context_length": 32_768}
    assert ModelFacts.of(info, ["completion", "vision"]) == ModelFacts(32_768, sees=True)
    assert ModelFacts.of(None, None) == ModelFacts(None, sees=False)
    assert ModelFacts.of({"general.architecture": "x", "x.context_length": "long"}, []).context_tokens is None
