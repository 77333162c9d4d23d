"""What every provider promises, asked of each of them against its vendor's protocol on a real socket."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import pytest_asyncio

from llm_service.errors import (
    ContextTooLong,
    ModelNotFound,
    ProviderAccountError,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderRateLimited,
    ProviderServerError,
    ProviderStreamCut,
    ProviderTimeout,
    ProviderUnavailable,
    RequestRejected,
    RequestUnsupported,
)
from llm_service.providers.protocol import (
    Completion,
    CompletionRequest,
    Document,
    FinishReason,
    Message,
    Parameters,
    StreamPart,
)
from tests.contract.provider_benches import IMPATIENT, REMOTE, SILENCE_S, Bench, bench, closed_port, names

SYSTEM = "Ты — помощник.  Отвечай по-русски;\tне меняй пробелы. 🙂"
SCHEMA = {"type": "object", "properties": {"город": {"type": "string"}}, "required": ["город"]}

Running = Callable[[str], Bench]


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """Benches by name, each started once for the module, on first use."""
    started: dict[str, Any] = {}

    def get(name: str) -> Bench:
        if name not in started:
            started[name] = bench(name)
            started[name + ":bench"] = started[name].__enter__()
        found: Bench = started[name + ":bench"]
        return found

    yield get
    for name in [name for name in started if ":" not in name]:
        started[name].__exit__(None, None, None)


@pytest_asyncio.fixture(params=names())
async def any_bench(request: pytest.FixtureRequest, running: Running) -> AsyncIterator[Bench]:
    async for found in _cleaned(running(request.param)):
        yield found


@pytest_asyncio.fixture(params=REMOTE)
async def remote(request: pytest.FixtureRequest, running: Running) -> AsyncIterator[Bench]:
    async for found in _cleaned(running(request.param)):
        yield found


async def _cleaned(found: Bench) -> AsyncIterator[Bench]:
    yield found
    for provider in found.made:
        await provider.close()
    found.made.clear()
    if found.standin:
        found.standin.forget()


def question(text: str = "Где мы? Мы в городе Казань.", **more: Any) -> CompletionRequest:
    return CompletionRequest((Message("system", SYSTEM), Message("user", text)), nonce="n0nce", **more)


def sent(found: Bench) -> dict[str, Any]:
    """The last chat as the vendor got it."""
    body: dict[str, Any] = json.loads(found.vendor.requests("chat")[-1].body)
    return body


MEANT_OTHERWISE: Mapping[tuple[str, int], type[ProviderError]] = {
    ("gigachat", 413): ContextTooLong,  # of a chat
    ("ollama", 503): ProviderRateLimited,  # its queue is full
}


async def failed(found: Bench, kind: type[ProviderError], **overrides: object) -> ProviderError:
    with pytest.raises(kind) as raised:
        await found.provider(**overrides).complete(question())
    error = raised.value
    assert type(error) is kind
    assert 10 < len(error.message) < 500, error.message
    assert error.message.isprintable(), error.message
    return error


class TestAnswering:
    async def test_it_answers_with_text_and_says_which_model_did(self, any_bench: Bench) -> None:
        answer = await any_bench.provider().complete(question())
        assert answer.text.strip()
        assert answer.finish_reason is FinishReason.STOP
        assert answer.model

    async def test_the_answer_is_the_one_the_vendor_gave_to_this_request(self, remote: Bench) -> None:
        provider = remote.provider()
        texts = [f"[[task:t{number}]] Привет" for number in range(20)]
        answers = await asyncio.gather(*(provider.complete(question(text)) for text in texts))
        logged = {request.marker: request.nonce for request in remote.vendor.requests("chat")}
        for number, answer in enumerate(answers):
            assert answer.text == f"Ответ {logged[f't{number}']} на задачу t{number}. Это всё."

    async def test_it_counts_tokens_as_the_vendor_does(self, remote: Bench) -> None:
        answer = await remote.provider().complete(question())
        assert answer.usage.prompt_tokens
        assert answer.usage.completion_tokens
        assert answer.timings.first_token_s is not None
        assert answer.timings.connect_s
        assert answer.timings.first_token_s <= (answer.timings.whole_s or 0)

    async def test_usage_may_be_absent(self, remote: Bench) -> None:
        remote.vendor.tell(nousage=True)
        assert (await remote.provider().complete(question())).usage.prompt_tokens is None

    async def test_an_answer_at_its_limit_says_so(self, remote: Bench) -> None:
        remote.vendor.tell(finish="length")
        answer = await remote.provider().complete(question())
        assert answer.finish_reason is FinishReason.LENGTH

    async def test_an_answer_in_many_chunks_is_put_together(self, remote: Bench) -> None:
        words = "Съешь же ещё этих мягких французских булок, да выпей чаю 🙂. " * 20
        remote.vendor.tell(answer=words, chunks=97)
        assert (await remote.provider().complete(question())).text == words

    async def test_a_pause_between_chunks_below_the_limit_is_no_failure(self, remote: Bench) -> None:
        remote.vendor.tell(chunks=14, gap=SILENCE_S / 4)
        provider = remote.provider(request_timeout_seconds=SILENCE_S, connect_timeout_seconds=0.1)
        assert (await provider.complete(question())).text.startswith("Ответ"), (
            "three and a half limits long altogether"
        )

    async def test_it_names_its_models_and_is_healthy(self, any_bench: Bench) -> None:
        provider = any_bench.provider()
        assert provider.name == any_bench.name
        assert provider.default_model
        assert any(model.startswith(provider.default_model) for model in await provider.models())
        await provider.health()


class TestAsking:
    async def test_the_system_message_arrives_first_and_byte_for_byte(self, remote: Bench) -> None:
        await remote.provider().complete(question())
        messages = sent(remote)["messages"]
        assert messages[0]["role"] == "system"
        assert messages[0]["content"] == SYSTEM
        assert [message["role"] for message in messages].count("system") == 1

    async def test_a_documents_text_arrives_between_marks(self, remote: Bench) -> None:
        document = Document("письмо.txt", "text/plain", text="Текст письма: оплатить счёт.")
        await remote.provider().complete(question(documents=(document,)))
        content = sent(remote)["messages"][-1]["content"]
        assert "Текст письма: оплатить счёт." in content
        assert content.count("n0nce") >= 2
        assert sent(remote)["messages"][0]["content"] == SYSTEM

    async def test_half_a_surrogate_pair_in_a_broken_document_stops_nothing(self, remote: Bench) -> None:
        document = Document("broken.txt", "text/plain", text="до \ud83d после")
        assert (await remote.provider().complete(question(documents=(document,)))).text
        assert "до ? после" in sent(remote)["messages"][-1]["content"]

    async def test_a_schema_arrives(self, remote: Bench) -> None:
        provider = remote.provider()
        await provider.complete(question(response_schema=SCHEMA))
        body = sent(remote)
        if provider.capabilities.schema:
            given = body.get("format") or body["response_format"]["json_schema"]["schema"]
            assert given == SCHEMA
        else:
            assert json.dumps(SCHEMA, ensure_ascii=False) in body["messages"][-1]["content"]

    async def test_parameters_arrive(self, remote: Bench) -> None:
        own = "frequency_penalty" if remote.name == "openai" else "repetition_penalty"
        parameters = Parameters(temperature=0.25, top_p=0.5, max_tokens=77, extra={own: 1.1})
        await remote.provider().complete(question(parameters=parameters))
        text = json.dumps(sent(remote))
        for value in ("0.25", "0.5", "77", own):
            assert value in text

    async def test_the_requests_model_goes_before_the_default(self, remote: Bench) -> None:
        other = {"gigachat": "GigaChat-Pro", "ollama": "seeing", "openai": "large"}[remote.name]
        await remote.provider().complete(question(model=other))
        assert sent(remote)["model"] == other

    async def test_tools_are_never_offered(self, remote: Bench) -> None:
        for name in ("tools", "functions"):
            parameters = Parameters(extra={name: [{"name": "delete_all"}]})
            with pytest.raises(RequestUnsupported):
                await remote.provider().complete(question(parameters=parameters))

    async def test_a_file_in_a_form_it_does_not_take_is_refused_before_any_call(self, remote: Bench) -> None:
        before = len(remote.vendor.requests("chat"))
        document = Document("архив.zip", "application/zip", path=None)
        with pytest.raises(RequestUnsupported, match="архив"):
            await remote.provider().complete(question(documents=(document,)))
        assert len(remote.vendor.requests("chat")) == before


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, RequestRejected),
            (401, ProviderAccountError),
            (402, ProviderAccountError),
            (403, ProviderAccountError),
            (404, ModelNotFound),
            (408, ProviderUnavailable),
            (413, RequestRejected),
            (418, RequestRejected),
            (422, RequestRejected),
            (429, ProviderRateLimited),
            (500, ProviderServerError),
            (502, ProviderUnavailable),
            (503, ProviderUnavailable),
            (504, ProviderUnavailable),
            (507, ProviderServerError),
            (302, ProviderAnswerInvalid),
            (204, ProviderAnswerInvalid),
        ],
    )
    async def test_a_status_becomes_its_error(
        self, remote: Bench, status: int, kind: type[ProviderError]
    ) -> None:
        remote.vendor.tell(status=status)
        error = await failed(remote, MEANT_OTHERWISE.get((remote.name, status), kind))
        assert error.retry_after is None

    async def test_a_model_that_is_not_there_is_named(self, remote: Bench) -> None:
        with pytest.raises(ModelNotFound, match="no-such-model"):
            await remote.provider().complete(question(model="no-such-model"))

    @pytest.mark.parametrize("status", [429, 503])
    async def test_retry_after_in_seconds(self, remote: Bench, status: int) -> None:
        remote.vendor.tell(status=status, retry_after="7")
        with pytest.raises(ProviderError) as raised:
            await remote.provider().complete(question())
        assert raised.value.retry_after == 7

    async def test_retry_after_as_a_date(self, remote: Bench) -> None:
        at = datetime.now(UTC) + timedelta(seconds=90)
        remote.vendor.tell(status=429, retry_after=format_datetime(at, usegmt=True))
        error = await failed(remote, ProviderRateLimited)
        assert error.retry_after is not None
        assert 60 < error.retry_after <= 90

    @pytest.mark.parametrize("value", ["soon", "-1"])
    async def test_a_retry_after_that_makes_no_sense_is_none(self, remote: Bench, value: str) -> None:
        remote.vendor.tell(status=429, retry_after=value)
        assert not (await failed(remote, ProviderRateLimited)).retry_after

    async def test_what_it_refuses_it_did_not_try_twice(self, remote: Bench) -> None:
        before = len(remote.vendor.requests("chat"))
        remote.vendor.tell(status=500)
        await failed(remote, ProviderServerError)
        assert len(remote.vendor.requests("chat")) == before + 1

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 429, 500, 503])
    async def test_no_secret_is_in_an_error_though_the_vendor_echoes_it(
        self, remote: Bench, status: int
    ) -> None:
        secret = remote.secrets[0] if remote.secrets else "Bearer"
        remote.vendor.tell(status=status, leak=True)
        with pytest.raises(ProviderError) as raised:
            await remote.provider().complete(question())
        shown = f"{raised.value} {raised.value!r} {raised.value.__cause__!r}"
        assert secret not in shown
        used = remote.vendor.requests("chat")[-1].headers.get("authorization", "Bearer none")
        assert used.removeprefix("Bearer ") not in shown


class TestBadAnswers:
    @pytest.mark.parametrize("fault", ["cut", "noend"])
    async def test_an_answer_without_its_end_is_none(self, remote: Bench, fault: str) -> None:
        remote.vendor.tell(fault=fault)
        await failed(remote, ProviderStreamCut)

    @pytest.mark.parametrize("fault", ["badjson", "nochoices", "compressed"])
    async def test_what_follows_no_protocol_is_no_answer(self, remote: Bench, fault: str) -> None:
        remote.vendor.tell(fault=fault)
        await failed(remote, ProviderAnswerInvalid)

    async def test_an_error_inside_the_stream_is_no_answer(self, remote: Bench) -> None:
        remote.vendor.tell(error=True)
        with pytest.raises((ProviderServerError, ProviderAnswerInvalid)):
            await remote.provider().complete(question())

    async def test_an_answer_of_ten_megabytes_is_refused(self, remote: Bench) -> None:
        remote.vendor.tell(big=10_000_000, chunks=100)
        await failed(remote, ProviderAnswerInvalid)

    async def test_a_line_without_end_is_not_collected(self, remote: Bench) -> None:
        remote.vendor.tell(flood=64)
        await failed(remote, ProviderAnswerInvalid)

    async def test_an_unknown_finish_is_no_answer(self, remote: Bench) -> None:
        remote.vendor.tell(finish="unheard_of")
        await failed(remote, ProviderAnswerInvalid)

    async def test_the_words_of_a_bad_answer_are_not_logged(
        self, remote: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        remote.vendor.tell(badjson=True, answer="тайна-письма")
        error = await failed(remote, ProviderAnswerInvalid)
        assert "тайна-письма" not in caplog.text + error.message


class TestSilence:
    @pytest.mark.parametrize(
        "behaviour",
        [{"silence": 30}, {"delay": 30}, {"stall": 30}, {"drip": 0.02}],
        ids=["nothing", "late", "stops", "byte by byte"],
    )
    async def test_it_ends_within_its_limit(self, remote: Bench, behaviour: dict[str, float]) -> None:
        provider = remote.provider(**IMPATIENT)
        await provider.health()  # token and connection are there
        remote.vendor.tell(**behaviour)
        began = time.monotonic()
        with pytest.raises(ProviderTimeout):
            await provider.complete(question())
        # At most 1 s to connect, twice the silence to the first chunk, and once more; the rest is the machine.
        assert SILENCE_S * 0.9 < time.monotonic() - began < 1.0 + 3 * SILENCE_S + 2.0

    async def test_a_vendor_that_is_not_there(self, remote: Bench) -> None:
        scheme = remote.vendor.base_url.partition(":")[0]
        address = f"{scheme}://127.0.0.1:{closed_port()}"
        error = await failed(remote, ProviderUnavailable, base_url=address)
        assert remote.name in error.message.lower()
        with pytest.raises(ProviderUnavailable):
            await remote.provider(base_url=address).health()


class TestStreaming:
    async def test_pieces_come_while_the_answer_is_being_written(self, remote: Bench) -> None:
        remote.vendor.tell(chunks=4, gap=0.3, answer="Первое. Второе. Третье. Четвёртое.")
        began = time.monotonic()
        async with aclosing(remote.provider().stream(question())) as stream:
            came = [(time.monotonic() - began, part) async for part in stream]
        (first_at, _), *_, (ended_at, whole) = came
        assert first_at < 0.6 < ended_at
        assert isinstance(whole, Completion)
        assert (whole.timings.first_token_s or 9) < 0.6 < (whole.timings.whole_s or 0)

    async def test_a_connection_that_is_open_takes_no_time_to_connect(self, remote: Bench) -> None:
        provider = remote.provider()
        await provider.complete(question())
        assert (await provider.complete(question())).timings.connect_s == 0

    @pytest.mark.parametrize("fault", ["cut", "noend", "badjson"])
    async def test_a_stream_that_breaks_has_no_answer(self, remote: Bench, fault: str) -> None:
        remote.vendor.tell(fault=fault)
        parts: list[StreamPart] = []

        async def read() -> None:
            async with aclosing(remote.provider().stream(question())) as stream:
                async for part in stream:
                    parts.append(part)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(ProviderError):
            await read()
        assert not [part for part in parts if isinstance(part, Completion)]

    async def test_leaving_a_stream_ends_the_request_at_the_vendor_within_a_second(
        self, remote: Bench
    ) -> None:
        remote.vendor.tell(chunks=100, gap=0.2, match="[[task:left]]")
        began = 0.0
        async with aclosing(remote.provider().stream(question("[[task:left]]"))) as stream:
            await anext(stream)
            began = time.monotonic()
        await _until(lambda: _outcome(remote, "left") == "gone")
        assert time.monotonic() - began < 1


class TestCancelling:
    async def test_it_reaches_the_vendor(self, remote: Bench) -> None:
        remote.vendor.tell(delay=30)
        provider = remote.provider()
        call = asyncio.create_task(provider.complete(question("[[task:cancelled]]")))
        await _until(lambda: _outcome(remote, "cancelled") == "in progress")
        call.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert time.monotonic() - began < 2
        await _until(lambda: _outcome(remote, "cancelled") == "gone")

    async def test_the_provider_answers_after_many_were_cancelled(self, remote: Bench) -> None:
        remote.vendor.tell(delay=30, match="[[task:stuck]]")
        provider = remote.provider(max_connections=5)
        calls = [asyncio.create_task(provider.complete(question("[[task:stuck]]"))) for _ in range(5)]
        await _until(lambda: remote.vendor.state()["active"]["chat"] == 5)  # type: ignore[index]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert (await provider.complete(question())).text


def _outcome(found: Bench, marker: str) -> str:
    requests = [request for request in found.vendor.requests("chat") if request.marker == marker]
    if not requests:
        return ""
    return requests[-1].outcome if requests[-1].ended else "in progress"


async def _until(condition: Callable[[], bool], limit_s: float = 5.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - the condition is another process's
            await asyncio.sleep(0.02)
