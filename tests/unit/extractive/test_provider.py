"""The provider that needs no model, as a provider."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from llm_service.errors import ModelNotFound, RequestRejected, RequestUnsupported
from llm_service.providers.extractive import MODEL, Extractive, create
from llm_service.providers.protocol import CompletionRequest, FinishReason, Message
from llm_service.providers.registry import ProviderContext, build
from llm_service.resilience.clock import SystemClock
from tests.unit.extractive.asking import INSTRUCTION, ask, document

LETTER = (
    "Dear Mr Smith!\n\nWe ask you to send the signed contract for the new warehouse back by 5 May 2026.\n"
)


async def test_it_is_found_by_its_name_and_takes_no_options() -> None:
    context = ProviderContext({}, SystemClock(), random.Random(1), lambda: "id")
    provider = build("extractive", context)
    assert isinstance(provider, Extractive)
    assert create(context).name == "extractive"
    assert await provider.models() == (MODEL,)
    await provider.health()
    await provider.close()


async def test_an_answer_stops_names_its_model_and_counts_words() -> None:
    completion = await ask(LETTER)
    assert completion.finish_reason is FinishReason.STOP
    assert completion.model == MODEL
    assert completion.usage.prompt_tokens == len((LETTER + INSTRUCTION.content).split())
    assert completion.usage.completion_tokens == len(completion.text.split())
    assert completion.text.endswith("made without a language model: its sentences are the document's own.")


async def test_an_answer_longer_than_asked_for_is_cut_and_says_so() -> None:
    completion = await ask(LETTER, max_tokens=5)
    assert completion.finish_reason is FinishReason.LENGTH
    assert len(completion.text.split()) == completion.usage.completion_tokens == 5


async def test_several_documents_are_answered_one_by_one() -> None:
    text = (await ask(LETTER, "Отчёт за год.\n\nЗа год отдел обработал сорок тысяч входящих писем.")).text
    assert (
        text.index("[1.txt]")
        < text.index("signed contract")
        < text.index("[2.txt]")
        < text.index("сорок тысяч")
    )


async def test_without_documents_the_messages_are_the_text() -> None:
    request = CompletionRequest(
        (Message("system", "You know 1 May 2020."), Message("user", f"Summarise this:\n{LETTER}"))
    )
    text = (await Extractive().complete(request)).text
    assert "signed contract" in text
    assert "Summarise" not in text
    assert "2020" not in text


async def test_with_documents_the_instructions_are_no_text() -> None:
    request = CompletionRequest(
        (Message("user", "Find the date 1 May 2020 please, it is in there."),), (document(LETTER),)
    )
    assert "2020" not in (await Extractive().complete(request)).text


async def test_another_model_is_refused() -> None:
    request = CompletionRequest((INSTRUCTION,), (document(LETTER),), model="GigaChat-2")
    with pytest.raises(ModelNotFound, match=r"'GigaChat-2'.*extractive-1"):
        await Extractive().complete(request)
    named = CompletionRequest((INSTRUCTION,), (document(LETTER),), model=MODEL)
    assert (await Extractive().complete(named)).text


async def test_what_it_cannot_do_is_refused_by_name() -> None:
    with pytest.raises(RequestUnsupported, match="grammar"):
        await Extractive().complete(
            CompletionRequest((INSTRUCTION,), (document(LETTER),), grammar='root ::= "a"')
        )
    with pytest.raises(RequestUnsupported, match=r"'scan\.png'"):
        await Extractive().complete(CompletionRequest((INSTRUCTION,), (document(None, "scan.png"),)))
    with pytest.raises(RequestRejected, match=r"no text in 'empty\.pdf'"):
        await Extractive().complete(CompletionRequest((INSTRUCTION,), (document(" \n", "empty.pdf"),)))
    with pytest.raises(RequestRejected, match="no text to read"):
        await Extractive().complete(CompletionRequest((Message("system", "x"),)))


async def test_a_document_of_ten_kilobytes_is_quick() -> None:
    text = (LETTER + "The board decided to move the office. ") * 90
    began = time.thread_time()
    await ask(text)
    assert len(text) > 10_000
    assert time.thread_time() - began < 0.05


async def test_a_huge_text_leaves_the_event_loop_free() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    began = time.process_time()
    text = (await ask("Первое предложение говорит о важном деле. " * 250_000)).text
    ticking.cancel()
    assert ticks > 3
    assert time.process_time() - began < 5
    assert "прочитаны его начало и конец" in text
