"""Calls of librdkafka that never come back: the caller goes on, the outcomes are settled once, and no end waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from llm_service.errors import ConsumerFatal, DependencyUnavailable
from llm_service.kafka.bounded_transactions import BoundedTransactions
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.transaction import Undecided
from tests.unit.kafka.fake_transactions import TOPIC, FakeTransactions, answers
from tests.unit.kafka.settling_rig import Rig

# Of one call: long for a fake one on a busy machine, short for a test that waits for it to pass.
LIMIT_S = 0.3
# For what comes at once, on a machine that has no time.
SOON_S = 20.0


class Broker(FakeTransactions):
    """What the brokers hold, by whichever producer it came; each producer of it may stand still."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.sides: list[Side] = []
        self.stands_in = [""]
        """The call that does not come back, for each producer in turn; the last for all that follow."""

    def make(self) -> Side:
        stands_in = self.stands_in[min(len(self.sides), len(self.stands_in) - 1)]
        self.sides.append(Side(self, stands_in))
        return self.sides[-1]


class Side(FakeTransactions):
    """One producer."""

    def __init__(self, broker: Broker, stands_in: str) -> None:
        super().__init__()
        self.log = broker.log
        self.broker = broker
        self.stands_in = stands_in
        self.stood = threading.Event()
        self.closed = threading.Event()
        self.given_up = False
        self.threads: set[int] = set()

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)
        if name in {"open", "run", "committed"}:
            return self._standing(name, found)
        return found

    def _standing(self, name: str, call: object) -> Callable[..., object]:
        def made(*arguments: object) -> object:
            self.threads.add(threading.get_ident())
            if self.stands_in == name:
                self.stood.set()
                assert self.broker.released.wait(SOON_S)
            assert callable(call)
            return call(*arguments)

        return made

    def give_up(self) -> None:
        self.given_up = True

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = Broker()
    yield broker
    broker.released.set()


def test_calls_are_made_by_one_thread_beside_with_what_they_answer_and_raise(broker: Broker) -> None:
    port = BoundedTransactions(broker.make, SOON_S)
    port.open()
    port.run([], [], b"generation 1")
    assert [c.offset for c in port.committed([TopicPartition(TOPIC, 0)])] == [None]
    (side,) = broker.sides
    side.ends.append(Undecided("lost"))
    with pytest.raises(Undecided, match="lost"):
        port.run([], [], b"generation 1")
    side.open_fails.append(DependencyUnavailable("away"))
    with pytest.raises(DependencyUnavailable, match="away"):
        port.open()
    assert (len(broker.log), len(side.threads)) == (1, 1)
    assert threading.get_ident() not in side.threads
    port.close()
    assert side.closed.is_set()
    assert port.refusal is None


def test_a_timeout_of_the_call_itself_is_no_call_that_does_not_come_back(broker: Broker) -> None:
    port = BoundedTransactions(broker.make, SOON_S)
    broker.sides[0].ends.append(TimeoutError("its own"))
    with pytest.raises(TimeoutError, match="its own"):
        port.run([], [], b"")
    assert len(broker.sides) == 1


def test_a_transaction_that_does_not_come_back_is_undecided_and_the_next_producer_is_another(
    broker: Broker,
) -> None:
    broker.stands_in = ["run", ""]
    port = BoundedTransactions(broker.make, LIMIT_S)
    port.open()
    with pytest.raises(Undecided, match="did not come back"):
        port.run([], [], b"")
    stuck, fresh = broker.sides
    assert (stuck.given_up, fresh.given_up, fresh.opened) == (True, False, 0)
    refusals = [port.refusal]
    port.open()
    refusals.append(port.refusal)
    assert [refusal is None for refusal in refusals] == [False, True]
    port.run([], [], b"")
    assert fresh.tried == [0]
    broker.released.set()
    # What was left behind ends and closes its producer, when it comes back after all.
    assert stuck.closed.wait(SOON_S)


def test_opening_and_asking_are_bounded_too(broker: Broker) -> None:
    broker.stands_in = ["open", "committed", ""]
    port = BoundedTransactions(broker.make, LIMIT_S)
    with pytest.raises(DependencyUnavailable, match="did not come back"):
        port.open()
    assert port.committed([TopicPartition(TOPIC, 0)]) == []
    assert [c.partition for c in port.committed([TopicPartition(TOPIC, 0)])] == [0]


def test_too_many_that_do_not_come_back_end_the_process_by_name(broker: Broker) -> None:
    broker.stands_in = ["run"]
    port = BoundedTransactions(broker.make, LIMIT_S)
    for _ in range(2):
        with pytest.raises(Undecided):
            port.run([], [], b"")
    with pytest.raises(ConsumerFatal, match="start it again"):
        port.run([], [], b"")


def test_those_that_came_back_do_not_count(broker: Broker) -> None:
    broker.stands_in = ["run"]
    port = BoundedTransactions(broker.make, LIMIT_S)
    for _ in range(2):
        with pytest.raises(Undecided):
            port.run([], [], b"")
    broker.released.set()
    assert all(side.closed.wait(SOON_S) for side in broker.sides[:2])
    broker.released.clear()
    with pytest.raises(Undecided):
        port.run([], [], b"")


def test_a_new_producer_learns_that_we_are_giving_up(broker: Broker) -> None:
    broker.stands_in = ["run", ""]
    port = BoundedTransactions(broker.make, LIMIT_S)
    port.give_up()
    with pytest.raises(Undecided):
        port.run([], [], b"")
    assert [side.given_up for side in broker.sides] == [True, True]


def test_the_end_does_not_wait_for_a_call_that_does_not_come_back(broker: Broker) -> None:
    broker.stands_in = ["run"]
    port = BoundedTransactions(broker.make, LIMIT_S)
    caller = threading.Thread(target=lambda: _run_and_forget(port), daemon=True)
    caller.start()
    assert broker.sides[0].stood.wait(SOON_S)
    port.close()
    assert not broker.sides[0].closed.is_set()
    mine = [thread for thread in threading.enumerate() if thread.name == "kafka-transaction"]
    assert mine
    assert all(thread.daemon for thread in mine)
    caller.join(SOON_S)


def _run_and_forget(port: BoundedTransactions) -> None:
    with pytest.raises(Undecided):
        port.run([], [], b"")


@pytest.mark.parametrize("commits", [False, True], ids=["nothing", "everything"])
def test_what_stood_still_is_settled_once_whatever_became_of_it(broker: Broker, *, commits: bool) -> None:
    """The settling loop on such a port: the group is answered as the brokers say, and those that come later too."""
    broker.stands_in = ["run", ""]
    rig = Rig()
    port = BoundedTransactions(broker.make, LIMIT_S)
    rig.loop._port = port
    port.open()
    first = rig.settle(0)
    rig.step()
    assert answers(first) == []
    if commits:
        # It came through before the next producer is opened.
        broker.released.set()
        assert broker.sides[0].closed.wait(SOON_S)
    else:
        # Fenced by the next producer: when it comes back at last, the brokers take nothing of it.
        broker.sides[0].log = []
    second = rig.settle(1)
    for _ in range(4):
        rig.step(1.0)
    assert (answers(first), answers(second)) == ([None], [None])
    broker.released.set()
    assert broker.sides[0].closed.wait(SOON_S)
    values = [outgoing.record.value for messages, _, _ in broker.log for outgoing in messages]
    assert sorted(str(value) for value in values) == sorted(
        str(outgoing.record.value) for one in (first, second) for outgoing in one.messages
    )
