"""Giving partitions away: not before what was written of them is decided, for nobody refuses what comes late."""

from __future__ import annotations

from collections.abc import Callable

from llm_service.kafka.exactly_once import TransactionalCommits
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.transaction import Aborted, Undecided
from llm_service.resilience.threads import SystemThreads
from tests.unit.kafka.fake_transactions import TOPIC
from tests.unit.kafka.settling_rig import POLICY, Rig

FIRST, SECOND = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)


class _Sleeps(SystemThreads):
    """Moves the rig's clock, and lets the other thread act meanwhile."""

    def __init__(self, rig: Rig, meanwhile: Callable[[], None]) -> None:
        self._rig = rig
        self._meanwhile = meanwhile

    def monotonic(self) -> float:
        return self._rig.now

    def sleep(self, seconds: float) -> None:
        self._rig.now += seconds
        self._meanwhile()


class _Member:
    def group_metadata(self) -> bytes | None:
        return b"generation 1"


def waited(rig: Rig, place: TopicPartition, meanwhile: Callable[[], None] = lambda: None) -> float:
    """Seconds until the partition may be given away."""
    began = rig.now
    commits = TransactionalCommits(_Member(), rig.loop, lambda _: None, _Sleeps(rig, meanwhile))
    commits.part([place])
    return rig.now - began


def test_a_partition_stays_while_a_transaction_over_it_is_under_way_and_others_go() -> None:
    rig = Rig()
    rig.hold(1)
    seen: list[tuple[bool, bool]] = []
    rig.port.before = lambda: seen.append((rig.loop.is_under_way([FIRST]), waited(rig, SECOND) == 0))
    assert waited(rig, FIRST) == 0, "nothing is under way"
    rig.settle(0)
    rig.step()
    assert seen == [(True, True)]
    assert waited(rig, FIRST) == 0, "it is committed"


def test_after_an_unknown_result_it_stays_until_the_producer_is_opened_anew() -> None:
    rig = Rig()
    rig.settle(0)
    rig.port.ends.append(Undecided("no answer"))
    rig.step()
    assert rig.loop.is_under_way([FIRST])
    assert 0.4 < waited(rig, FIRST, rig.loop.step) < 1.0, "the pause before it is opened"
    assert rig.port.opened == 1


def test_what_was_aborted_holds_nothing() -> None:
    rig = Rig()
    rig.settle(0)
    rig.port.ends.append(Aborted("the leader is gone"))
    rig.step()
    assert waited(rig, FIRST) == 0


def test_the_wait_ends_when_the_brokers_have_ended_the_transaction_themselves() -> None:
    rig = Rig()
    rig.settle(0)
    rig.port.ends.append(Undecided("no answer"))
    rig.step()
    assert 19.9 < waited(rig, FIRST) < 20.1


class _Watched(Rig):
    """Whenever the loop looks at its clock, it is asked whether the first partition must stay."""

    def __init__(self) -> None:
        self.seen_at_work: list[bool] = []
        self.is_looking = False
        super().__init__()

    @property
    def now(self) -> float:
        if self.is_looking:
            self.seen_at_work.append(self.loop.is_under_way([FIRST]))
        return self._now

    @now.setter
    def now(self, value: float) -> None:
        self._now = value


def test_it_stays_from_the_moment_on_at_which_the_next_transaction_is_put_together() -> None:
    rig = _Watched()
    rig.settle(0)
    rig.is_looking = True
    rig.loop.step()
    rig.is_looking = False
    assert rig.seen_at_work[1], "the first look is before the step has begun"


def test_once_the_producer_before_is_fenced_it_goes_though_nobody_knows_yet_what_was_committed() -> None:
    rig = Rig()
    rig.settle(0)
    rig.port.ends.append(Undecided("no answer"))
    rig.step()
    rig.port.silent = True
    rig.step(POLICY.first_delay_s)
    assert rig.port.opened == 1
    assert not rig.loop.is_under_way([FIRST])
