"""What a Kafka does, as far as the worker leans on it: one suite over the simulated cluster and a real broker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest

from llm_service.contract.record import Record
from llm_service.errors import MessageTooLarge
from llm_service.kafka.offset_map import METADATA_LIMIT
from llm_service.kafka.port import Committed, TopicPartition
from llm_service.kafka.tracker import Position
from llm_service.kafka.transaction import Aborted, MembershipRefused, MessagesRefused, Outgoing, Undecided
from tests.contract.kafka_benches import LARGEST, Bench, Member, Transactions, until
from tests.contract.kafka_real import real
from tests.contract.kafka_simulated import simulated
from tests.services.kafka import Kafka
from tests.simulation.cluster import PROTOCOLS

_BOTH = {0, 1}
LONGEST = METADATA_LIMIT
_EACH_PROTOCOL = pytest.mark.parametrize("protocol", PROTOCOLS)


@pytest.fixture
def protocol() -> str:
    return "cooperative"


@pytest.fixture(params=["simulated", "kafka"])
def bench(request: pytest.FixtureRequest, protocol: str) -> Iterator[Bench]:
    if request.param == "simulated":
        with simulated(protocol) as made:
            yield made
    else:
        kafka: Kafka = request.getfixturevalue("kafka")
        with real(kafka, protocol) as made_:
            yield made_


def joined(bench: Bench, *, apart: bool = False) -> Member:
    """A member that has both partitions."""
    member = bench.member(apart=apart)
    member.subscribe()
    until(bench, lambda: member.seen.held == _BOTH, member)
    return member


def opened(bench: Bench, name: str = "own") -> Transactions:
    port = bench.transactions(name)
    port.open()
    return port


def at(bench: Bench, partition: int, offset: int, metadata: str = "") -> Position:
    return Position(bench.tasks, partition, offset, metadata)


def status(bench: Bench, value: bytes) -> Outgoing:
    return Outgoing(bench.status, Record(b"key", value, ()))


def places(bench: Bench, *partitions: int) -> list[TopicPartition]:
    return [TopicPartition(bench.tasks, partition) for partition in partitions]


def said(answers: Sequence[Committed]) -> dict[int, tuple[int | None, str]]:
    return {answer.partition: (answer.offset, answer.metadata) for answer in answers}


def committed(bench: Bench, member: Member) -> dict[int, tuple[int | None, str]]:
    """When it is decided."""
    found: dict[int, tuple[int | None, str]] = {}

    def is_decided() -> bool:
        found.update(said(member.committed(places(bench, 0, 1))))
        return len(found) == 2

    until(bench, is_decided)
    return found


def shows(bench: Bench, *values: bytes) -> None:
    """A read_committed reader sees these: at once or soon, since a decision is there before its markers are."""
    with suppress(AssertionError):
        until(bench, lambda: read(bench) == list(values))
    assert read(bench) == list(values)


def read(bench: Bench) -> list[bytes | None]:
    return [value for _, value in bench.read(bench.status, "read_committed")]


# --- the group ----------------------------------------------------------------------------------


@_EACH_PROTOCOL
def test_a_member_has_all_partitions_and_begins_where_it_is_committed(bench: Bench, protocol: str) -> None:
    bench.send(0, b"0", b"1", b"2")
    bench.send(1, b"0")
    first = joined(bench)
    assert committed(bench, first) == {0: (None, ""), 1: (None, "")}
    assert first.commit([at(bench, 0, 2, "map")]) is None
    first.close()
    assert first.seen.held == set()
    assert first.seen.told[-1] == ("revoke", frozenset(_BOTH))
    second = joined(bench)
    until(bench, lambda: len(second.seen.messages) == 2, second)
    assert sorted(second.seen.messages) == [(0, 2, b"2"), (1, 0, b"0")]
    assert committed(bench, second) == {0: (2, "map"), 1: (None, "")}


@_EACH_PROTOCOL
def test_a_member_reads_from_where_it_says_and_anew_from_where_it_seeks(bench: Bench, protocol: str) -> None:
    """Whatever is committed: who has asked for itself is not led elsewhere by what the client is told later."""
    bench.send(0, b"0", b"1", b"2")
    bench.send(1, b"0")
    first = joined(bench)
    assert first.commit([at(bench, 0, 1)]) is None
    first.close()
    second = bench.member()
    second.subscribe({0: 2})
    until(bench, lambda: len(second.seen.messages) == 2, second)
    assert sorted(second.seen.messages) == [(0, 2, b"2"), (1, 0, b"0")]
    second.seek(0, 1)
    until(bench, lambda: len(second.seen.messages) == 4, second)
    assert second.seen.messages[2:] == [(0, 1, b"1"), (0, 2, b"2")]


@_EACH_PROTOCOL
def test_a_second_member_takes_one_and_what_was_before_is_a_former_membership(
    bench: Bench, protocol: str
) -> None:
    first = joined(bench)
    before = first.metadata()
    second = bench.member()
    second.subscribe()
    until(bench, lambda: len(first.seen.held) == len(second.seen.held) == 1, first, second)
    assert first.seen.held | second.seen.held == _BOTH
    kept = frozenset(first.seen.held)
    assert (
        first.seen.told[1:]
        == {
            "eager": [("revoke", frozenset(_BOTH)), ("assign", kept)],
            "cooperative": [("revoke", _BOTH - kept)],
            "consumer": [("revoke", _BOTH - kept)],
        }[protocol]
    )
    assert [what for what, _ in second.seen.told] == ["assign"]
    port = opened(bench)
    place = min(kept)
    with pytest.raises(MembershipRefused):
        port.run([status(bench, b"stale")], [at(bench, place, 1)], before)
    port.run([status(bench, b"fresh")], [at(bench, place, 2)], first.metadata())
    assert committed(bench, second)[place] == (2, "")
    shows(bench, b"fresh")
    second.close()
    until(bench, lambda: first.seen.held == _BOTH, first)
    assert "lost" not in dict(first.seen.told)


@_EACH_PROTOCOL
def test_the_broker_does_not_ask_who_owns_a_partition(bench: Bench, protocol: str) -> None:
    """Member and generation are all that fences; the worker looks after the rest."""
    first = joined(bench)
    second = bench.member()
    second.subscribe()
    until(bench, lambda: len(first.seen.held) == len(second.seen.held) == 1, first, second)
    (others,) = second.seen.held
    opened(bench).run([], [at(bench, others, 1, "in a transaction")], first.metadata())
    assert committed(bench, first)[others] == (1, "in a transaction")
    assert first.commit([at(bench, others, 2, "plain")]) is None
    assert committed(bench, first)[others] == (2, "plain")


@_EACH_PROTOCOL
def test_who_was_silent_past_its_session_is_refused_and_told(bench: Bench, protocol: str) -> None:
    zombie = joined(bench, apart=True)
    before = zombie.metadata()
    bench.stop(zombie, bench.session_s + 1.5)
    assert zombie.commit([at(bench, 0, 7, "zombie")]) is not None
    with pytest.raises(MembershipRefused):
        opened(bench).run([status(bench, b"zombie")], [at(bench, 0, 7)], before)
    until(bench, lambda: ("lost", frozenset(_BOTH)) in zombie.seen.told, zombie)
    until(bench, lambda: zombie.seen.held == _BOTH, zombie)
    assert [what for what, _ in zombie.seen.told] == ["assign", "lost", "assign"]
    assert committed(bench, zombie) == {0: (None, ""), 1: (None, "")}
    assert zombie.commit([at(bench, 0, 1)]) is None
    assert bench.read(bench.status, "read_committed") == []


@_EACH_PROTOCOL
def test_who_has_lost_its_membership_and_was_not_told_yet_commits_nothing(
    bench: Bench, protocol: str
) -> None:
    """Though an empty group takes the offsets of a consumer that never was a member."""
    other = bench.member()
    zombie = joined(bench, apart=True)
    bench.stop(zombie, bench.session_s + 1.5)
    assert other.commit([at(bench, 0, 9, "meanwhile")]) is None
    bench.idle(2.0)
    assert zombie.commit([at(bench, 0, 7, "zombie")]) is not None
    assert committed(bench, other)[0] == (9, "meanwhile")


@_EACH_PROTOCOL
def test_a_consumer_that_has_not_joined_is_not_fenced_in_a_transaction(bench: Bench, protocol: str) -> None:
    """Unless it has a name, which KIP-848's clients give themselves: the broker looks for that."""
    member, stranger, port = joined(bench), bench.member(), opened(bench)
    if protocol == "consumer":
        with pytest.raises(MembershipRefused):
            port.run([], [at(bench, 0, 3, "stranger")], bench.stranger())
    else:
        port.run([], [at(bench, 0, 3, "stranger")], bench.stranger())
        assert committed(bench, member)[0] == (3, "stranger")
    assert stranger.commit([at(bench, 0, 4)]) is not None, "the group has members"
    member.close()
    assert stranger.commit([at(bench, 0, 4)]) is None, "and now it has none"
    assert committed(bench, stranger)[0] == (4, "")


# --- offsets ------------------------------------------------------------------------------------


def test_the_same_offset_with_other_metadata_is_kept_and_a_lower_one_too(bench: Bench) -> None:
    member, port = joined(bench), opened(bench)
    for metadata in ("one", "two"):
        assert member.commit([at(bench, 0, 5, metadata)]) is None
        assert committed(bench, member)[0] == (5, metadata)
        port.run([], [at(bench, 0, 5, f"{metadata} in a transaction")], member.metadata())
        assert committed(bench, member)[0] == (5, f"{metadata} in a transaction")
    assert member.commit([at(bench, 0, 4, "lower")]) is None
    assert committed(bench, member)[0] == (4, "lower")


def test_metadata_that_is_too_long_is_refused_plain(bench: Bench) -> None:
    member = joined(bench)
    assert member.commit([at(bench, 0, 1, "x" * LONGEST), at(bench, 1, 1)]) is None
    assert member.commit([at(bench, 0, 2), at(bench, 1, 2, "x" * (LONGEST + 1))]) is not None
    # Each partition for itself: the broker has taken the other one.
    assert committed(bench, member) == {0: (2, ""), 1: (1, "")}


def test_metadata_that_is_too_long_ends_a_transaction(bench: Bench) -> None:
    member, port = joined(bench), opened(bench)
    with pytest.raises(Aborted):
        port.run(
            [status(bench, b"one")],
            [at(bench, 0, 2), at(bench, 1, 2, "x" * (LONGEST + 1))],
            member.metadata(),
        )
    assert committed(bench, member) == {0: (None, ""), 1: (None, "")}
    port.run([status(bench, b"two")], [at(bench, 0, 2), at(bench, 1, 2, "x" * LONGEST)], member.metadata())
    assert committed(bench, member) == {0: (2, ""), 1: (2, "x" * LONGEST)}
    shows(bench, b"two")


def test_offsets_have_no_answer_while_a_transaction_over_them_is_open(bench: Bench) -> None:
    member, port = joined(bench), opened(bench)
    assert member.commit([at(bench, 0, 1, "before"), at(bench, 1, 1, "other")]) is None
    port.hold = True
    port.run([], [at(bench, 0, 2, "after")], member.metadata())
    assert said(member.committed(places(bench, 0))) == {}
    assert said(port.committed(places(bench, 0))) == {}
    assert said(member.committed(places(bench, 1))) == {1: (1, "other")}
    assert said(member.committed(places(bench, 0, 1))) == {}, (
        "one that waits holds up those asked for with it"
    )
    port.finish()
    assert committed(bench, member) == {0: (2, "after"), 1: (1, "other")}
    assert said(port.committed(places(bench, 0))) == {0: (2, "after")}


def test_offsets_of_an_aborted_transaction_are_not_there(bench: Bench) -> None:
    member, port = joined(bench), opened(bench)
    assert member.commit([at(bench, 0, 1, "before")]) is None
    port.hold = True
    port.run([], [at(bench, 0, 2, "after")], member.metadata())
    port.drop()
    assert committed(bench, member)[0] == (1, "before")


def test_a_plain_commit_beside_an_open_transaction_wins(bench: Bench) -> None:
    """The transaction's events stay, and its offsets are silently gone: why exactly_once never commits plainly."""
    member, port = joined(bench), opened(bench)
    port.hold = True
    port.run([status(bench, b"there")], [at(bench, 0, 3, "transaction")], member.metadata())
    assert member.commit([at(bench, 0, 1, "plain")]) is None
    port.finish()
    assert committed(bench, member)[0] == (1, "plain")
    shows(bench, b"there")


# --- transactions -------------------------------------------------------------------------------


def test_the_same_id_fences_the_older_one_and_ends_its_transaction(bench: Bench) -> None:
    member, older = joined(bench), opened(bench)
    assert member.commit([at(bench, 0, 1, "before")]) is None
    older.hold = True
    older.run([status(bench, b"older")], [at(bench, 0, 2)], member.metadata())
    newer = opened(bench)
    assert committed(bench, member)[0] == (1, "before")
    with pytest.raises(Undecided):
        older.finish()
    newer.run([status(bench, b"newer")], [at(bench, 0, 3)], member.metadata())
    with pytest.raises(Undecided):
        older.run([status(bench, b"older")], [at(bench, 0, 2)], member.metadata())
    assert committed(bench, member)[0] == (3, "")
    shows(bench, b"newer")


def test_two_ids_do_not_fence_each_other(bench: Bench) -> None:
    member, one, other = joined(bench), opened(bench, "one"), opened(bench, "other")
    one.hold = other.hold = True
    one.run([status(bench, b"one")], [at(bench, 0, 2)], member.metadata())
    other.run([status(bench, b"other")], [at(bench, 1, 3)], member.metadata())
    other.finish()
    one.finish()
    assert committed(bench, member) == {0: (2, ""), 1: (3, "")}
    shows(bench, b"one", b"other")


def test_of_two_open_transactions_the_one_that_wrote_last_keeps_its_offset(bench: Bench) -> None:
    member, one, other = joined(bench), opened(bench, "one"), opened(bench, "other")
    one.hold = other.hold = True
    one.run([], [at(bench, 0, 2, "one")], member.metadata())
    other.run([], [at(bench, 0, 3, "other")], member.metadata())
    other.finish()
    one.finish()
    assert committed(bench, member)[0] == (3, "other")


def test_aborted_messages_are_hidden_and_markers_take_offsets(bench: Bench) -> None:
    port = opened(bench)
    bench.publish(bench.status, b"plain")
    port.hold = True
    port.run([status(bench, b"aborted")], [], b"")
    port.drop()
    port.run([status(bench, b"committed"), status(bench, b"too")], [], b"")
    port.finish()
    shows(bench, b"plain", b"committed", b"too")
    bench.publish(bench.status, b"last")
    there = [(0, b"plain"), (3, b"committed"), (4, b"too"), (6, b"last")]
    assert bench.read(bench.status, "read_committed") == there
    assert bench.read(bench.status, "read_uncommitted") == sorted([*there, (1, b"aborted")])


def test_an_open_transaction_hides_what_comes_after_it(bench: Bench) -> None:
    port = opened(bench)
    bench.publish(bench.status, b"before")
    port.hold = True
    port.run([status(bench, b"open")], [], b"")
    bench.publish(bench.status, b"after")
    assert bench.read(bench.status, "read_committed") == [(0, b"before")]
    assert len(bench.read(bench.status, "read_uncommitted")) == 3
    port.finish()
    shows(bench, b"before", b"open", b"after")


def test_a_message_that_is_too_large_is_named(bench: Bench) -> None:
    large = b"x" * (LARGEST + 5_000)
    with pytest.raises(MessageTooLarge):
        bench.publish(bench.status, large)
    member, port = joined(bench), opened(bench)
    with pytest.raises(MessagesRefused) as refused:
        port.run(
            [status(bench, b"one"), status(bench, large), status(bench, b"three")],
            [at(bench, 0, 3)],
            member.metadata(),
        )
    assert {index: type(error) for index, error in refused.value.named.items()} == {1: MessageTooLarge}
    assert committed(bench, member)[0] == (None, "")
    port.run([status(bench, b"one"), status(bench, b"three")], [at(bench, 0, 2)], member.metadata())
    shows(bench, b"one", b"three")
    assert committed(bench, member)[0] == (2, "")
