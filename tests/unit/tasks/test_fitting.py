"""What is too long for a model is refused with both numbers, or cut where the task allows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_service import events
from llm_service.errors import ContextTooLong
from llm_service.providers.context import ContextExceeded
from llm_service.providers.protocol import Capabilities, CompletionRequest, Document, Message, Parameters
from llm_service.tasks.fitting import cut, judge, share_to_keep
from tests.unit.tasks.bench import Bench, body, code

QUESTION = Message("user", "Перескажи.")


def request(*texts: str, max_tokens: int | None = None) -> CompletionRequest:
    documents = tuple(Document(f"{number}.txt", "text/plain", text=text) for number, text in enumerate(texts))
    return CompletionRequest((QUESTION,), documents, parameters=Parameters(max_tokens=max_tokens))


def test_the_estimate_is_refused_with_both_numbers() -> None:
    judge(request("x" * 3_000), 3_000)
    judge(request("x" * 3_000_000), None)
    with pytest.raises(ContextTooLong, match=r"about 11\d\d tokens.*context of 1000.*truncate") as raised:
        judge(request("x" * 3_000, max_tokens=50), 1_000)
    assert isinstance(raised.value, ContextExceeded)
    assert raised.value.context_tokens == 1_000


@given(st.lists(st.text(min_size=300), min_size=1, max_size=5), st.floats(0.1, 1.0))
def test_documents_are_cut_to_their_share_the_longest_first(texts: list[str], share: float) -> None:
    documents = request(*texts).documents
    shorter = cut(documents, share)
    assert [document.name for document in shorter] == [document.name for document in documents]
    kept = [(document.text or "").split("\n[cut here: ")[0] for document in shorter]
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    assert sum(len(text.encode("utf-8", "replace")) for text in kept) <= size * share + 1
    for whole, part in zip(texts, kept, strict=True):
        assert whole.replace("\ud800", "?").startswith(part.split("?")[0])


def test_a_short_document_is_not_cut_for_a_long_one() -> None:
    letter, book = cut(request("короткое письмо", "слово " * 10_000).documents, 0.5)
    assert letter.text == "короткое письмо"
    assert book.text is not None
    assert book.text.count("слово") < 5_100
    left = 60_000 - len(book.text.split("\n[cut here")[0])
    assert book.text.endswith(f"слово\n[cut here: {left} of 60000 characters are left out]")


def test_what_can_not_be_helped_by_cutting_is_not_cut() -> None:
    numbers = ContextExceeded("", needed_tokens=90_000, context_tokens=1_000)
    assert (
        share_to_keep(replace(request("x" * 300), messages=(Message("user", "y" * 270_000),)), numbers)
        is None
    )
    assert share_to_keep(request(), ContextTooLong("")) is None
    assert share_to_keep(request("x" * 1_000), ContextTooLong("")) == 0.5


async def ended(bench: Bench, **task: object) -> tuple[str, dict[str, object]]:
    await bench.live(bench.delivery(task))
    (outcome,) = bench.settler.outcomes
    bench.assert_at_rest()
    return code(outcome), body(outcome.status)


async def test_a_task_that_does_not_allow_it_fails_before_any_call() -> None:
    bench = Bench()
    bench.model.capabilities = Capabilities(context_tokens=2_000)
    how, said = await ended(bench, text="слово " * 1_000)
    assert how == "context_too_long"
    assert "context of 2000" in str(said["error_message"])
    assert bench.model.requests == []


async def test_a_task_that_allows_it_is_asked_with_what_fits() -> None:
    bench = Bench()
    bench.model.capabilities = Capabilities(context_tokens=4_000)
    bench.files.there = {"a.txt": "буква " * 1_000, "b.txt": "краткое"}
    how, said = await ended(bench, files=["a.txt", "b.txt"], truncate=True)
    assert how == "success"
    (sent,) = bench.model.requests
    long, short = sent.documents
    assert long.text is not None
    assert "characters are left out]" in long.text
    assert short.text == "краткое"
    judge(sent, 4_000)
    with pytest.raises(ContextTooLong):
        judge(sent, 3_700)  # and no more of it was cut than had to be
    left_out = 6_000 - len(long.text.split("\n[cut here")[0])
    assert said["altered"] == {
        "cut_chars": left_out,
        "hidden_chars": 0,
        "documents": [{"name": "a.txt", "chars": 6_000, "cut_chars": left_out, "hidden_chars": 0}],
    }
    (told,) = (event for event in bench.events if isinstance(event, events.TaskSettled))
    assert (told.cut_chars, told.hidden_chars) == (left_out, 0)


async def test_a_provider_that_counts_is_believed() -> None:
    bench = Bench()
    bench.files.there = {"a.txt": "слово " * 1_000}
    bench.model.script = [ContextExceeded("422", needed_tokens=9_000, context_tokens=6_000)]
    assert (await ended(bench, files=["a.txt"], truncate=True))[0] == "success"
    first, second = bench.model.requests
    assert first.documents[0].text == "слово " * 1_000
    assert 500 < (second.documents[0].text or "").count("слово") < 700


async def test_a_provider_that_only_says_no_is_asked_with_half_and_half_again() -> None:
    bench = Bench()
    bench.files.there = {"a.txt": "слово " * 1_000}
    bench.model.script = [ContextTooLong("422")] * 2
    assert (await ended(bench, files=["a.txt"], truncate=True))[0] == "success"
    assert [(each.documents[0].text or "").count("слово") for each in bench.model.requests] == [
        1_000,
        500,
        250,
    ]


async def test_a_provider_that_always_says_no_is_not_asked_without_end() -> None:
    bench = Bench()
    bench.files.there = {"a.txt": "слово " * 10_000}
    bench.model.script = [ContextTooLong("422")] * 20
    assert (await ended(bench, files=["a.txt"], truncate=True))[0] == "context_too_long"
    assert len(bench.model.requests) == 6


async def test_a_file_that_would_be_uploaded_is_cut_as_a_text() -> None:
    bench = Bench()
    bench.model.capabilities = Capabilities(upload_types=frozenset({"text/plain"}))
    bench.files.there = {"a.txt": "слово " * 1_000}
    bench.model.script = [ContextTooLong("422")]
    assert (await ended(bench, files=["a.txt"], truncate=True))[0] == "success"
    first, second = bench.model.requests
    assert first.documents[0].path == Path("a.txt")
    assert second.documents[0].path is None
    assert (second.documents[0].text or "").count("слово") == 500


@pytest.mark.parametrize("value", ["yes", 1, []])
async def test_truncate_is_true_or_false(value: object) -> None:
    how, said = await ended(Bench(), text="x", truncate=value)
    assert how == "invalid_field"
    assert "truncate" in str(said["error_message"])


async def test_what_was_cut_for_the_answer_is_cut_for_its_repair_and_said_of_a_failure_too() -> None:
    bench = Bench()
    bench.files.there = {"a.txt": "слово\u200b " * 1_000}
    bench.model.script = [ContextTooLong("422"), "no JSON", "none either"]
    schema = {"type": "object"}
    how, said = await ended(bench, files=["a.txt"], truncate=True, response_format=schema)
    assert how == "answer_not_json"
    whole, half, again = (request.documents[0] for request in bench.model.requests)
    assert whole.left_out == 0
    assert half.text == again.text
    assert said["altered"]["documents"][0]["cut_chars"] == half.left_out > 0  # type: ignore[index]
    assert said["altered"]["hidden_chars"] == 1_000  # type: ignore[index]
