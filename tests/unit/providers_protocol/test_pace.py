"""An answer that crawls is given up; one that pauses or is short is not."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from llm_service.errors import ProviderTimeout, TaskTooCostly
from llm_service.providers.protocol import Anew, Completion, Delta, FinishReason, StreamPart
from llm_service.providers.reading import Pace, paced, whole, within
from tests.manual_clock import ManualClock

PACE = Pace(0.5, window_s=30.0)


async def told(clock: ManualClock, gaps: list[float], text: str = "word") -> AsyncGenerator[StreamPart, None]:
    """A piece behind each gap, then the whole."""
    for gap in gaps:
        await clock.sleep(gap)
        yield Delta(text)
    yield Completion(text * len(gaps), FinishReason.STOP, "m")


async def read(gaps: list[float], pace: Pace = PACE, text: str = "word") -> Completion:
    clock = ManualClock()
    return await clock.run(whole(paced(told(clock, gaps, text), "acme", pace, clock), "acme"))


@pytest.mark.parametrize(
    "gaps",
    [
        [1.0] * 100,
        [25.0, 1.0, 1.0],  # the first piece may take its time: the model reads or thinks
        [2.0] * 60,
        [0.0] * 20 + [25.0] + [0.0] * 20,
        [5.0] * 6,  # over before there is a window to judge by
        [],
    ],
)
async def test_an_answer_that_comes_well(gaps: list[float]) -> None:
    assert (await read(gaps)).text == "word" * len(gaps)


@pytest.mark.parametrize("gaps", [[3.0] * 100, [0.1] * 200 + [4.0] * 100])
async def test_an_answer_that_drips(gaps: list[float]) -> None:
    with pytest.raises(ProviderTimeout, match=r"acme .*less than 0.5 tokens a second"):
        await read(gaps)


async def test_a_piece_counts_by_its_length() -> None:
    """GigaChat sends whole sentences."""
    answer = await read([20.0] * 10, text="Это целое предложение из многих слов, и каждое считается.")
    assert answer.finish_reason is FinishReason.STOP


async def test_what_begins_again_is_measured_from_there() -> None:
    """A model's process that is loaded again takes its time; that is no slow answer."""

    async def broken(clock: ManualClock) -> AsyncGenerator[StreamPart, None]:
        yield Delta("word")
        await clock.sleep(300.0)
        yield Anew()
        async for part in told(clock, [1.0] * 40):
            yield part

    clock = ManualClock()
    assert (await clock.run(whole(paced(broken(clock), "acme", PACE, clock), "acme"))).text == "word" * 40


async def test_what_begins_again_is_not_counted_twice() -> None:
    async def broken() -> AsyncGenerator[StreamPart, None]:
        yield Delta("a" * 50)
        yield Anew()
        yield Delta("a" * 50)
        yield Completion("a" * 50, FinishReason.STOP, "m")

    assert (await whole(within(broken(), "acme", 10), "acme")).text == "a" * 50
    with pytest.raises(TaskTooCostly):
        await whole(within(broken(), "acme", 8), "acme")


async def test_no_floor() -> None:
    assert (await read([29.0] * 10, Pace(0.0))).finish_reason is FinishReason.STOP
