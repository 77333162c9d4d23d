"""What nobody caught is one event, wherever it happened, and the rest goes on."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading

from llm_service.events import Event, Uncaught
from llm_service.observability.uncaught import uncaught_told

WORDS = "Ivanov has not signed"


class Heard:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def only(self) -> Uncaught:
        (event,) = self.events
        assert isinstance(event, Uncaught)
        assert WORDS not in repr(event)
        return event


def fails(_: str = "") -> None:
    raise ValueError(WORDS)


async def test_a_task_that_nobody_awaited() -> None:
    heard = Heard()

    async def alone() -> None:
        fails()

    with uncaught_told(heard, asyncio.get_running_loop()):
        task = asyncio.create_task(alone())
        await asyncio.sleep(0)
        del task
        gc.collect()
    assert heard.only.place == "loop"
    assert heard.only.what == "Task exception was never retrieved"
    assert "in fails" in heard.only.traceback
    assert heard.only.traceback.endswith("ValueError")


async def test_a_callback_whose_arguments_may_be_anything() -> None:
    heard = Heard()
    with uncaught_told(heard, asyncio.get_running_loop()):
        asyncio.get_running_loop().call_soon(fails, WORDS)
        await asyncio.sleep(0.01)
    assert heard.only.what.startswith("Exception in callback fails")


async def test_a_thread() -> None:
    heard = Heard()
    with uncaught_told(heard, asyncio.get_running_loop()):
        for target in (fails, sys.exit):
            thread = threading.Thread(target=target, name="worker-7")
            thread.start()
            thread.join()
    assert heard.only.place == "thread"
    assert heard.only.what == "the thread worker-7 ended"


async def test_a_finalizer() -> None:
    class Fails:
        def __del__(self) -> None:
            fails()

    heard = Heard()
    with uncaught_told(heard, asyncio.get_running_loop()):
        Fails()
    assert heard.only.place == "finalizer"
    assert "Fails.__del__" in heard.only.what


async def test_the_process_has_its_own_ways_back_afterwards() -> None:
    before = threading.excepthook, sys.unraisablehook
    with uncaught_told(Heard(), asyncio.get_running_loop()):
        assert threading.excepthook is not before[0]
    assert (threading.excepthook, sys.unraisablehook) == before
