"""Calls of librdkafka that stand still: who made them goes on in time, and says what did not come back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from llm_service.contract.record import Record
from llm_service.errors import DependencyUnavailable
from llm_service.kafka import dead_member, letter_sender
from llm_service.kafka.aside import aside
from llm_service.kafka.dead_member import DeadMembers
from llm_service.kafka.letter_sender import PlainSender, TransactionalSender
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.transaction import Outgoing
from tests.unit.kafka.fake_transactions import FakeTransactions

PLACE = TopicPartition("tasks", 0)
# For what comes at once, on a machine that has no time.
SOON_S = 20.0


class Standing:
    """A call that does not come back before the test is over."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.begun = threading.Semaphore(0)

    def __call__(self, *_: object) -> None:
        self.begun.release()
        assert self.over.wait(SOON_S)

    def has_begun(self) -> bool:
        return self.begun.acquire(timeout=SOON_S)


@pytest.fixture
def standing() -> Iterator[Standing]:
    standing = Standing()
    yield standing
    standing.over.set()


async def test_what_comes_in_time_is_the_answer_and_an_error_is_its_own() -> None:
    def broken() -> None:
        raise ValueError("its own")

    assert await aside(lambda: 7, SOON_S, "a number") == 7
    with pytest.raises(ValueError, match="its own"):
        await aside(broken, SOON_S, "a number")


async def test_what_does_not_come_is_left_behind_and_named(standing: Standing) -> None:
    with pytest.raises(DependencyUnavailable, match="asking for the topics did not come back"):
        await aside(standing, 0.05, "the topics")
    assert standing.has_begun()
    (left,) = [thread for thread in threading.enumerate() if thread.name == "kafka-the-topics"]
    assert left.daemon, "the end of the process does not wait for it"
    standing.over.set()
    await asyncio.to_thread(left.join, SOON_S)
    assert not left.is_alive()


class _Reader:
    """Of committed offsets."""

    def __init__(self, ask: Callable[[], None]) -> None:
        self._ask = ask

    def committed(self, *_: object) -> Sequence[object]:
        self._ask()
        return []

    def close(self) -> None:
        """Nothing is open."""


def test_a_look_for_dead_members_that_stands_still_keeps_no_other_from_being_made(
    standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_member, "Consumer", lambda _: _Reader(standing))
    now, said = [100.0], list[str]()
    members = DeadMembers({}, {}, "me", said.append, lambda: now[0])
    members.overdue([PLACE])
    assert standing.has_begun()
    now[0] += 19.0
    members.overdue([PLACE])
    assert said == [], "it has its time"
    for count in (1, 2):
        now[0] += 21.0
        members.overdue([PLACE])
        assert standing.has_begun(), "another look"
        assert len(said) == count
    assert "did not come back from librdkafka" in said[0]
    now[0] += 21.0
    members.overdue([PLACE])
    assert len(said) == 2, "no more than so many are left behind"


class _Stuck(FakeTransactions):
    """A producer whose transaction does not come back."""

    def __init__(self, run: Callable[[], None]) -> None:
        super().__init__()
        self._run = run

    def run(self, *_: object) -> None:
        self._run()


def test_sending_letters_on_ends_where_a_transaction_does_not_come_back(
    standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letter_sender, "TransactionalProducer", lambda *_: _Stuck(standing))
    sender = TransactionalSender({}, {}, "group-dlq", limit_s=0.1)
    sender.open()
    with pytest.raises(DependencyUnavailable, match="did not come back"):
        sender.send([Outgoing("tasks", Record(b"k", b"v", ()))])
    sender.close()


class _Silent:
    """A producer that reports nothing."""

    def __init__(self, _: Mapping[str, object]) -> None:
        self.flushed: float | None = None

    def produce(self, *_: object, **__: object) -> None:
        """It is queued."""

    def flush(self, timeout: float = -1) -> int:
        assert timeout > 0, "for ever"
        return 1


def test_a_plain_letter_that_is_not_reported_is_told_as_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letter_sender, "Producer", _Silent)
    sender = PlainSender({"message.timeout.ms": 1000})
    with pytest.raises(DependencyUnavailable, match="has not said within 31 s"):
        sender.send([Outgoing("tasks", Record(b"k", b"v", ()))])
