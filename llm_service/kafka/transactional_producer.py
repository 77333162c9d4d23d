"""The transactional producer over confluent-kafka (librdkafka): its life cycle and one transaction at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as ConfluentPartition

from llm_service.errors import DependencyUnavailable, MessageTooLarge, TopicNotWritable
from llm_service.kafka.confluent import answers_of, offsets_of
from llm_service.kafka.port import Committed, TopicPartition
from llm_service.kafka.publisher import NOT_WRITABLE, error_of
from llm_service.kafka.tracker import Position
from llm_service.kafka.transaction import (
    Aborted,
    MembershipRefused,
    MessagesRefused,
    Outgoing,
    Undecided,
)

# An abandoned transaction hides later events from read_committed readers until the broker ends it.
TRANSACTION_TIMEOUT_S = 10.0
# One call; those that did not get through are made again, so that a stop is heard meanwhile.
_CALL_S = 2.0
# To begin: a coordinator answers in some milliseconds, and ending an older transaction writes its markers.
_OPEN_S = 4.0
_COMMITTED_S = 1.0
# librdkafka's RD_KAFKA_PARTITION_UA: the partitioner chooses.
BY_KEY = -1
# An acknowledgement comes in some milliseconds.
_ROOM_S = 0.05
_STALE_MEMBERSHIP = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.STALE_MEMBER_EPOCH,
    }
)


def transactional_properties(
    producer: Mapping[str, object], transactional_id: str, extra: Mapping[str, str] | None = None
) -> dict[str, object]:
    """The plain producer's properties made those of the transactional one; a deployment's ``extra`` goes before tuning."""
    timeout_ms = int(TRANSACTION_TIMEOUT_S * 1000)
    return {
        **producer,
        # What waits is joined before the transaction begins; nothing comes after that is worth waiting for.
        "linger.ms": 0,
        # The broker answers CONCURRENT_TRANSACTIONS while the last transaction's markers are being written: the default
        # pause of 100 ms would be the latency.
        "retry.backoff.ms": 5,
        "retry.backoff.max.ms": 20,
        # How long a topic may be unknown before its messages fail, and the transaction with them: it was there at start.
        "topic.metadata.propagation.max.ms": 2000,
        **(extra or {}),
        # The plain producer of the same process tells of brokers that are away, and what becomes of a transaction is
        # told by the calls. Without a callback an error would be raised by whatever call comes next.
        "error_cb": _unheard,
        "transactional.id": transactional_id,
        "transaction.timeout.ms": timeout_ms,
        # A message that is not taken while its transaction lives is not taken.
        "message.timeout.ms": timeout_ms,
    }


def committed_properties(connection: Mapping[str, object], group_id: str) -> dict[str, object]:
    """A consumer that never joins, and is only asked what is decided for the group."""
    return {
        **connection,
        "group.id": group_id,
        "enable.auto.commit": False,
        # It waits while a transaction over the offsets is undecided.
        "isolation.level": "read_committed",
    }


@dataclass(slots=True)
class _Attempt:
    """One transaction under way."""

    messages: Sequence[Outgoing]
    named: dict[int, MessageTooLarge | TopicNotWritable]

    def reported(self, index: int, error: KafkaError | None, _: Message | None = None) -> None:
        if error is not None:
            named = error_of(self.messages[index].topic, error)
            if isinstance(named, MessageTooLarge | TopicNotWritable):
                self.named[index] = named

    def blame(self, error: KafkaError) -> None:
        """Where no report names a message, the topics that the error names; all where it names none."""
        if self.named or error.code() not in NOT_WRITABLE:
            return
        topics = {outgoing.topic for outgoing in self.messages}
        guilty = {topic for topic in topics if f'"{topic}"' in error.str()} or topics
        for index, outgoing in enumerate(self.messages):
            if outgoing.topic in guilty:
                self.reported(index, error)


class TransactionalProducer:
    """See ``TransactionPort``."""

    def __init__(
        self,
        producer: Mapping[str, object],
        committed: Mapping[str, object],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._producer_config = dict(producer)
        self._committed_config = dict(committed)
        self._monotonic = monotonic
        self._producer: Producer | None = None
        self._reader: Consumer | None = None
        self._giving_up = False

    # --- its life -------------------------------------------------------------------------------

    def open(self) -> None:
        self._discard()
        producer = Producer(self._producer_config)
        try:
            producer.init_transactions(_OPEN_S)
            # A transaction with nothing in it: what can't be begun is seen now.
            producer.begin_transaction()
            producer.abort_transaction(_OPEN_S)
        except KafkaException as error:
            raise self._unavailable(producer, error.args[0]) from error
        self._producer = producer

    def give_up(self) -> None:
        self._giving_up = True

    def close(self) -> None:
        self._discard()
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _discard(self) -> None:
        if self._producer is not None:
            # Its messages belong to a transaction that is over, or that the next producer of this id will end.
            self._producer.purge()
            self._producer = None

    def _unavailable(self, producer: Producer, error: KafkaError) -> DependencyUnavailable:
        name = self._producer_config["transactional.id"]
        if error.code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            return DependencyUnavailable(
                f"the cluster denies transactions to {name}: grant WRITE and DESCRIBE on transactional ids with the "
                f"group's name as their prefix, or set KAFKA_DELIVERY=at_least_once"
            )
        if error.code() == KafkaError._TIMED_OUT:  # noqa: SLF001 -- librdkafka's local codes have no other name
            brokers = _count_brokers(producer)
            return DependencyUnavailable(
                f"no transaction can be begun: the cluster gave no coordinator for {name} within {_OPEN_S:.0f} s "
                f"({brokers} brokers known): set the brokers' transaction.state.log.replication.factor and "
                f"transaction.state.log.min.isr to what so many brokers can hold (3 and 2 unless told otherwise), or "
                f"set KAFKA_DELIVERY=at_least_once"
            )
        return DependencyUnavailable(
            f"no transaction can be begun: {error.name()}: {error.str()}: "
            f"make transactions work on the cluster, or set KAFKA_DELIVERY=at_least_once"
        )

    # --- one transaction ------------------------------------------------------------------------

    def run(self, messages: Sequence[Outgoing], positions: Sequence[Position], metadata: bytes) -> None:
        if self._producer is None:
            raise Undecided("the transactional producer is not open")
        producer, attempt = self._producer, _Attempt(messages, {})
        try:
            producer.begin_transaction()
            self._produce(producer, attempt)
            if positions:
                offsets = offsets_of(positions)
                self._within_timeout(lambda: producer.send_offsets_to_transaction(offsets, metadata, _CALL_S))
            self._commit(producer)
        except KafkaException as error:
            self._abort(producer, attempt, error.args[0])
        except BufferError as error:
            self._abort(producer, attempt, KafkaError(KafkaError._QUEUE_FULL, str(error)))  # noqa: SLF001

    def committed(self, places: Sequence[TopicPartition]) -> Sequence[Committed]:
        if self._reader is None:
            self._reader = Consumer(self._committed_config)
        asked = [ConfluentPartition(place.topic, place.partition) for place in places]
        try:
            return answers_of(self._reader.committed(asked, _COMMITTED_S))
        except KafkaException:
            return []

    def _renew(self) -> None:
        """After a broker refused a message its partition's sequence has a gap, and the next transaction would be aborted
        for it (OUT_OF_ORDER_SEQUENCE_NUMBER, librdkafka 2.16.0): a new epoch has none.
        """
        try:
            self.open()
        except DependencyUnavailable:
            return  # the next transaction finds no producer, and opens one

    def _produce(self, producer: Producer, attempt: _Attempt) -> None:
        until = self._monotonic() + TRANSACTION_TIMEOUT_S - _CALL_S
        for index, outgoing in enumerate(attempt.messages):
            try:
                while not _is_queued(producer, outgoing, partial(attempt.reported, index)):
                    if self._giving_up or self._monotonic() >= until:
                        raise BufferError("the producer's queue stays full")
            except KafkaException as error:
                # Refused before it was sent; the transaction itself knows nothing of it.
                attempt.reported(index, error.args[0])
                raise

    def _commit(self, producer: Producer) -> None:
        """Until it is answered: a commit whose reply was lost is repeated, never aborted."""
        while True:
            try:
                producer.commit_transaction(_CALL_S)
            except KafkaException as error:
                reason = error.args[0]
                if reason.txn_requires_abort():
                    raise
                if not reason.retriable() or self._giving_up:
                    raise Undecided(f"a commit of unknown result: {reason.name()}: {reason.str()}") from error
            else:
                return

    def _within_timeout(self, call: Callable[[], None]) -> None:
        """Again while it may yet get through, and the transaction lives."""
        until = self._monotonic() + TRANSACTION_TIMEOUT_S - _CALL_S
        while True:
            try:
                return call()
            except KafkaException as error:
                if not error.args[0].retriable() or self._giving_up or self._monotonic() >= until:
                    raise

    def _abort(self, producer: Producer, attempt: _Attempt, error: KafkaError) -> None:
        """Raises what has become of the transaction."""
        reason = f"{error.name()}: {error.str()}"
        if error.fatal():
            raise Undecided(reason)
        try:
            self._within_timeout(lambda: producer.abort_transaction(_CALL_S))
        except KafkaException as failed:
            raise Undecided(f"{reason}; aborting: {failed.args[0].str()}") from failed
        attempt.blame(error)
        if attempt.named:
            self._renew()
            raise MessagesRefused(attempt.named)
        if error.code() in _STALE_MEMBERSHIP:
            raise MembershipRefused(f"the group has moved on: {reason}")
        raise Aborted(f"a transaction was aborted: {reason}")


def _unheard(_: KafkaError) -> None:
    """See ``transactional_properties``."""


def _is_queued(
    producer: Producer, outgoing: Outgoing, reported: Callable[[KafkaError | None, Message], None]
) -> bool:
    """Whether the queue took it. KAFKA_PRODUCER_EXTRA may make it smaller than a transaction: room comes with reports."""
    record = outgoing.record
    try:
        producer.produce(
            outgoing.topic,
            record.value,
            record.key,
            BY_KEY if outgoing.partition is None else outgoing.partition,
            on_delivery=reported,
            headers=list(record.headers),
        )
    except BufferError:
        producer.poll(_ROOM_S)
        return False
    return True


def _count_brokers(producer: Producer) -> int:
    try:
        return len(producer.list_topics(timeout=1.0).brokers)
    except KafkaException:
        return 0
