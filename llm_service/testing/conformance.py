"""What every provider promises, whatever stands behind it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from llm_service.errors import ModelNotFound, ProviderError, RequestUnsupported
from llm_service.providers.ability import TOOLS
from llm_service.providers.protocol import (
    Completion,
    CompletionRequest,
    Delta,
    Document,
    FinishReason,
    Message,
    Parameters,
    Provider,
    StreamPart,
)

NO_SUCH_MODEL = "no-such-model-9000"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.mark.asyncio
class ProviderConformance:
    """Inherit it, and override the fixture ``provider``: one that works, with a vendor or a stand-in behind it.

    Nothing here needs more than some short answers. What a vendor may do wrong is not asked: see the tests of the
    providers that come with the service.
    """

    @pytest.fixture
    def provider(self) -> Provider:
        """The provider to be tested; whoever overrides it closes it too."""
        pytest.fail("override the fixture `provider` with the provider that is to be tested")

    @pytest.fixture
    def question(self) -> CompletionRequest:
        """Something it can answer in a few words."""
        messages = (
            Message("system", "Answer shortly."),
            Message("user", "Where are we? We are in the city of Kazan."),
        )
        return CompletionRequest(messages, parameters=Parameters(max_tokens=64), nonce="n0nce")

    @pytest.fixture
    def embedding_model(self) -> str | None:
        """The model to embed with, where the provider embeds and has no usual one of its own."""
        return None

    # --- answers ----------------------------------------------------------------------------------

    async def test_it_says_who_it_is(self, provider: Provider) -> None:
        assert provider.name
        assert provider.name == provider.name.lower().strip()
        assert provider.default_model

    async def test_it_answers(self, provider: Provider, question: CompletionRequest) -> None:
        answer = await provider.complete(question)
        assert answer.text.strip()
        assert answer.finish_reason in {FinishReason.STOP, FinishReason.LENGTH}
        assert answer.model

    async def test_what_it_tells_of_an_answer_is_possible(
        self, provider: Provider, question: CompletionRequest
    ) -> None:
        answer = await provider.complete(question)
        for tokens in (answer.usage.prompt_tokens, answer.usage.completion_tokens):
            assert tokens is None or tokens >= 0
        assert answer.cost is None or answer.cost >= 0
        timings = answer.timings
        if timings.first_token_s is not None and timings.whole_s is not None:
            assert 0 <= timings.first_token_s <= timings.whole_s

    async def test_it_answers_many_at_once(self, provider: Provider, question: CompletionRequest) -> None:
        answers = await asyncio.gather(*(provider.complete(question) for _ in range(5)))
        assert all(answer.text.strip() for answer in answers)

    async def test_a_stream_is_pieces_and_then_the_whole(
        self, provider: Provider, question: CompletionRequest
    ) -> None:
        parts = await _read(provider, question)
        *pieces, last = parts
        assert isinstance(last, Completion), "the last part of a stream is the answer"
        said = [piece.text for piece in pieces if isinstance(piece, Delta)]
        assert len(said) == len(pieces), "nothing but pieces comes before it"
        assert "".join(said) == last.text
        assert last.text.strip()

    async def test_a_schema_is_taken(self, provider: Provider, question: CompletionRequest) -> None:
        asked = CompletionRequest(question.messages, parameters=question.parameters, response_schema=SCHEMA)
        assert (await provider.complete(asked)).text.strip()

    async def test_half_a_surrogate_pair_in_a_broken_document_stops_nothing(
        self, provider: Provider, question: CompletionRequest
    ) -> None:
        document = Document("broken.txt", "text/plain", text="before \ud83d after. We are in Kazan.")
        asked = CompletionRequest(
            question.messages, (document,), parameters=question.parameters, nonce="n0nce"
        )
        assert (await provider.complete(asked)).text.strip()

    # --- refusals ---------------------------------------------------------------------------------

    async def test_a_model_that_is_not_there_is_said_to_be(
        self, provider: Provider, question: CompletionRequest
    ) -> None:
        asked = CompletionRequest(question.messages, model=NO_SUCH_MODEL, parameters=question.parameters)
        try:
            said = (await provider.complete(asked)).text  # a provider with one model may answer with that
        except ModelNotFound as error:
            said = error.message
            named = NO_SUCH_MODEL in said
        else:
            named = bool(said.strip())
        assert named, said

    async def test_a_grammar_is_kept_or_refused(
        self, provider: Provider, question: CompletionRequest
    ) -> None:
        asked = CompletionRequest(
            question.messages, grammar='root ::= "yes" | "no"', parameters=question.parameters
        )
        if provider.capabilities.grammar:
            assert (await provider.complete(asked)).text.strip() in {"yes", "no"}
        else:
            await _refused(provider, asked, "grammar")

    @pytest.mark.parametrize("name", sorted(TOOLS))
    async def test_no_tool_is_offered(
        self, provider: Provider, question: CompletionRequest, name: str
    ) -> None:
        parameters = Parameters(extra={name: [{"name": "delete_all"}]})
        await _refused(provider, CompletionRequest(question.messages, parameters=parameters), name)

    @pytest.mark.parametrize("kind", ["application/x-no-such-type", "image/x-no-such-type"])
    async def test_a_file_it_does_not_take_is_refused_by_its_name(
        self, provider: Provider, question: CompletionRequest, kind: str
    ) -> None:
        document = Document("odd-one.bin", kind, path=None)
        await _refused(provider, CompletionRequest(question.messages, (document,)), "odd-one")

    # --- beside answers ---------------------------------------------------------------------------

    async def test_embeddings_are_given_or_refused(
        self, provider: Provider, embedding_model: str | None
    ) -> None:
        texts = ["the first text", "второй"]
        if not provider.capabilities.embeddings:
            with pytest.raises(RequestUnsupported):
                await provider.embed(texts)
            return
        found = await provider.embed(texts, embedding_model)
        assert len(found.vectors) == len(texts)
        assert len({len(vector) for vector in found.vectors}) == 1
        assert found.vectors[0]
        assert found.model

    async def test_tokens_are_counted_or_that_is_refused(self, provider: Provider) -> None:
        texts = ["one", "one two three four five six seven eight"]
        if not provider.capabilities.token_counting:
            with pytest.raises(RequestUnsupported):
                await provider.count_tokens(texts)
            return
        few, many = await provider.count_tokens(texts)
        assert 0 < few < many

    async def test_it_names_its_models_and_is_well(self, provider: Provider) -> None:
        models = await provider.models()
        assert all(models)
        await provider.health()

    # --- ending -----------------------------------------------------------------------------------

    async def test_a_stream_may_be_left(self, provider: Provider, question: CompletionRequest) -> None:
        async with aclosing(provider.stream(question)) as stream:
            await anext(stream)
        assert (await provider.complete(question)).text.strip()

    async def test_a_call_may_be_cancelled(self, provider: Provider, question: CompletionRequest) -> None:
        call = asyncio.create_task(provider.complete(question))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait((call,), timeout=2)
        assert call.done(), "a cancelled call ends"
        assert (await provider.complete(question)).text.strip()

    async def test_it_may_be_closed_twice(self, provider: Provider) -> None:
        await provider.close()
        await provider.close()


async def _read(provider: Provider, request: CompletionRequest) -> list[StreamPart]:
    async with aclosing(provider.stream(request)) as stream:
        return [part async for part in stream]


async def _refused(provider: Provider, request: CompletionRequest, words: str) -> None:
    with pytest.raises(RequestUnsupported) as raised:
        await provider.complete(request)
    assert words in raised.value.message
    with pytest.raises(ProviderError):
        await _read(provider, request)
