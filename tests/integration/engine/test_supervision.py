"""The engine's process is killed, stopped, starved and asked for the impossible: every answer still comes."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from llm_service.engine.engine import BegunAgain, Engine
from llm_service.engine.frames import Count, Counted, Embed, Generate, Vector
from llm_service.engine.order import Ended, Piece, Refusal, Refused
from llm_service.engine.process import EngineProcess, EngineUnloadable
from llm_service.engine.sampling import Sampling
from llm_service.errors import ModelNotFound, RequestRejected
from tests.integration.engine.conftest import Watched, setup_of


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 # seen from outside, nothing tells
            await asyncio.sleep(0.01)


async def written(engine: Engine, number: int, tokens: int = 150) -> str:
    turns = (("system", "Be short."), ("user", f"word {number} " * (number + 1)))
    command = Generate(f"g{number}", turns, tokens, Sampling(temperature=0))
    reports = await engine.reports(command)
    assert isinstance(reports[-1], Ended), reports[-1]
    return "".join(report.text for report in reports if isinstance(report, Piece | Ended))


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGKILL, signal.SIGSTOP])
async def test_a_signal_in_mid_batch_costs_a_restart_and_no_answer(
    watched: Watched, number: signal.Signals
) -> None:
    engine = watched.engine
    # Long enough that on a busy machine they still run when their beat has come.
    expected = await asyncio.gather(*(written(engine, each, 300) for each in range(12)))
    answers = asyncio.gather(*(written(engine, each, 300) for each in range(12)))
    await until(lambda: engine.beat.running >= 6)
    os.kill(watched.pid, number)
    assert await answers == expected
    assert watched.actions == ["loaded", "died", "loaded"]


async def test_memory_that_ends_in_mid_batch_costs_a_restart_and_no_answer(watched: Watched) -> None:
    """The next large piece of memory is refused, as in a container that is full; the process that comes after has it."""
    engine = watched.engine
    expected = await asyncio.gather(*(written(engine, each, 300) for each in range(8)))
    answers = asyncio.gather(*(written(engine, each, 300) for each in range(8)))
    await until(lambda: engine.beat.running >= 4)
    taken = psutil.Process(watched.pid).memory_info().vms
    resource.prlimit(watched.pid, resource.RLIMIT_AS, (taken, taken))
    (counted,) = await engine.reports(Count("c", ("слово " * 1_000_000,)))
    assert isinstance(counted, Counted)
    assert counted.tokens[0] > 1_000_000
    assert await answers == expected
    assert watched.actions == ["loaded", "died", "loaded"]


async def test_what_kills_the_process_each_time_is_given_up_and_the_next_is_answered(
    watched: Watched,
) -> None:
    engine = watched.engine
    task = asyncio.create_task(written(engine, 0, 3_000))
    for times in range(1, 4):
        await until(lambda: engine.beat.running > 0)
        os.kill(watched.pid, signal.SIGKILL)
        await until(lambda: watched.actions.count("died") == times)  # noqa: B023 # awaited before it changes
    with pytest.raises(RequestRejected, match="dies of this request"):
        await task
    assert await written(engine, 5, 5)


async def test_a_stream_that_was_shown_is_begun_again_and_says_so(watched: Watched) -> None:
    stream = watched.engine.stream(Generate("s", (("user", "hi"),), 2_000, Sampling(temperature=0)))
    async for report in stream:
        if isinstance(report, Piece):
            break
    os.kill(watched.pid, signal.SIGKILL)
    rest = [report async for report in stream]
    assert rest.count(BegunAgain()) == 1
    assert isinstance(rest[-1], Ended)
    whole = rest[rest.index(BegunAgain()) + 1 :]
    assert len([report for report in whole if isinstance(report, Piece)]) > 100


async def test_a_cancelled_answer_frees_its_place_within_a_second(watched: Watched) -> None:
    engine = watched.engine
    await engine.load()
    task = asyncio.create_task(written(engine, 1, 3_000))
    await until(lambda: engine.beat.running > 0)
    task.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: engine.beat.running == 0)
    assert time.monotonic() - began < 1.0


async def test_the_process_ends_with_its_parent_s_socket(watched: Watched) -> None:
    await watched.engine.load()
    pid = watched.pid
    await watched.engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_texts_become_vectors_and_are_counted(watched: Watched) -> None:
    texts = ("one text", "другой текст", "one text")
    vectors = [
        report.vector
        for report in await watched.engine.reports(Embed("e", texts))
        if isinstance(report, Vector)
    ]
    assert len(vectors) == 3
    assert vectors[0] == pytest.approx(vectors[2], abs=1e-5)
    assert vectors[0] != pytest.approx(vectors[1], abs=1e-2)
    assert sum(part * part for part in vectors[0]) == pytest.approx(1.0)
    (counted,) = await watched.engine.reports(Count("c", (*texts, "")))
    assert isinstance(counted, Counted)
    assert counted.tokens[0] == counted.tokens[2] > counted.tokens[3]


async def test_texts_of_many_passes_get_the_vectors_they_have_alone_in_their_order(watched: Watched) -> None:
    """More than go into one pass, of lengths that end passes at different places."""
    texts = [f"text {number} " * (1 + number * 7 % 60) for number in range(50)]
    (*alone,) = [await vectors_of(watched.engine, f"a{number}", [text]) for number, text in enumerate(texts)]
    together = await vectors_of(watched.engine, "all", texts)
    assert len(together) == len(texts)
    for (single,), one in zip(alone, together, strict=True):
        assert one == pytest.approx(single, abs=1e-4)


def test_a_long_pass_says_that_it_goes_on(models: Path) -> None:
    """Else a large model that takes a minute for a long text would count as hanging."""
    from llm_service.engine.embedding import Embedder
    from llm_service.engine.llama import LoadOptions, Weights

    told: list[None] = []
    weights = Weights(str(models / "small.gguf"), 0, lambda: None)
    embedder = Embedder(weights, LoadOptions(512, 4, 256, 1, 0), lambda: told.append(None))
    told.clear()
    (vector,) = embedder.embed([weights.tokens("one text", begin=True, special=False)])
    assert len(vector) == 64
    assert len(told) > 10


async def vectors_of(engine: Engine, name: str, texts: list[str]) -> list[tuple[float, ...]]:
    reports = await engine.reports(Embed(name, tuple(texts)))
    return [report.vector for report in reports if isinstance(report, Vector)]


async def test_a_text_that_is_too_long_is_refused_with_both_numbers(watched: Watched) -> None:
    (refused,) = await watched.engine.reports(Embed("e", ("слово " * 3_000,)))
    assert isinstance(refused, Refused)
    assert refused.refusal == Refusal.TOO_LONG
    (refused,) = await watched.engine.reports(Generate("g", (("user", "слово " * 3_000),)))
    assert isinstance(refused, Refused)
    assert refused.refusal == Refusal.TOO_LONG
    assert "4096" in refused.message


async def test_a_file_that_llama_cpp_refuses_is_an_error_with_its_words(models: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes((models / "small.gguf").read_bytes()[:100_000])
    with pytest.raises(EngineUnloadable, match=r"(tensor|model)"):
        await EngineProcess.start(setup_of(broken), 3.0)


async def test_a_model_of_an_architecture_that_the_library_does_not_know_is_told_what_it_needs(
    watched: Watched, models: Path, tmp_path: Path
) -> None:
    later = tmp_path / "later.gguf"
    later.write_bytes((models / "small.gguf").read_bytes().replace(b"llama", b"llamb"))
    watched.engine.setup = setup_of(later)
    with pytest.raises(ModelNotFound, match=r"architecture.*'llamb'.*later llama-cpp-python"):
        await watched.engine.load()


async def test_an_unloadable_model_is_said_to_be(watched: Watched, tmp_path: Path) -> None:
    watched.engine.setup = setup_of(tmp_path / "none.gguf")
    with pytest.raises(ModelNotFound, match="small"):
        await watched.engine.load()
    assert watched.actions == ["failed"]
