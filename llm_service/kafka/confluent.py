"""The consumer port over confluent-kafka (librdkafka)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ConfluentPartition

from llm_service.contract.record import Headers
from llm_service.errors import ConsumerFatal
from llm_service.kafka.log_watch import Extent
from llm_service.kafka.port import Committed, KafkaMessage, RebalanceListener, TopicPartition
from llm_service.kafka.tracker import Position

# librdkafka gives these back with each message it could not fetch; the next poll goes on. They are
# conditions that pass or that /ready and the log tell of, never a reason to stop reading.
_FATAL_CODES = frozenset(
    {KafkaError._FATAL, KafkaError._FENCED, KafkaError.FENCED_INSTANCE_ID, KafkaError.UNRELEASED_INSTANCE_ID}  # noqa: SLF001
)

# The group or the topic refuses this member: librdkafka asks again for ever, and reads nothing meanwhile.
_REFUSED_CODES = frozenset(
    {
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.GROUP_MAX_SIZE_REACHED,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.INVALID_GROUP_ID,
        KafkaError.INVALID_SESSION_TIMEOUT,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNSUPPORTED_ASSIGNOR,
        KafkaError.UNSUPPORTED_VERSION,
    }
)

_METADATA_MAGIC = b"CGMDv2:"


class ConfluentConsumer:
    """One librdkafka consumer. ``trouble`` is told of errors that pass by themselves."""

    def __init__(self, config: Mapping[str, object], trouble: Callable[[str], None]) -> None:
        self._listener: RebalanceListener | None = None
        self._trouble = trouble
        self.refusal: str | None = None
        """Why this member was last refused; None once it has been given partitions. Read anywhere."""
        self._is_eager = config.get("group.protocol") != "consumer" and config.get(
            "partition.assignment.strategy"
        ) not in {"cooperative-sticky", None}
        self._consumer = Consumer({**config, "on_commit": self._on_commit})

    def subscribe(self, topics: Sequence[str], listener: RebalanceListener) -> None:
        self._listener = listener
        self._consumer.subscribe(
            list(topics),
            on_assign=lambda _, partitions: self._on_assign(listener, partitions),
            on_revoke=lambda _, partitions: listener.on_revoke(_places(partitions)),
            on_lost=lambda _, partitions: listener.on_lost(_places(partitions)),
        )

    def poll(self, timeout: float) -> KafkaMessage | None:
        message = self._consumer.poll(timeout)
        return self._read(message) if message is not None else None

    def consume(self, limit: int) -> Sequence[KafkaMessage]:
        messages = (self._read(message) for message in self._consumer.consume(limit, 0))
        return [message for message in messages if message is not None]

    def committed(self, partitions: Sequence[TopicPartition], timeout: float) -> Sequence[Committed]:
        asked = [ConfluentPartition(place.topic, place.partition) for place in partitions]
        try:
            answers = self._consumer.committed(asked, timeout)
        except KafkaException as error:
            self._trouble(f"asking for committed offsets: {error.args[0].str()}")
            return []
        return answers_of(answers)

    def commit_async(self, positions: Sequence[Position]) -> None:
        try:
            self._consumer.commit(offsets=offsets_of(positions), asynchronous=True)
        except KafkaException as error:
            self._answer(positions, error.args[0].str())

    def commit(self, positions: Sequence[Position]) -> str | None:
        try:
            answers = self._consumer.commit(offsets=offsets_of(positions), asynchronous=False)
        except KafkaException as error:
            return str(error.args[0].str())
        return next((answer.error.str() for answer in answers if answer.error is not None), None)

    def group_metadata(self) -> bytes | None:
        """See ``GroupMember``."""
        metadata = self._consumer.consumer_group_metadata()
        return metadata if metadata is not None and _has_joined(metadata) else None

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        self._consumer.pause([ConfluentPartition(place.topic, place.partition) for place in partitions])

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self._consumer.resume([ConfluentPartition(place.topic, place.partition) for place in partitions])

    def seek(self, place: TopicPartition, offset: int) -> None:
        try:
            self._consumer.seek(ConfluentPartition(place.topic, place.partition, offset))
        except KafkaException as error:
            self._trouble(f"reading {place.topic}/{place.partition} from {offset}: {error.args[0].str()}")

    def extent(self, place: TopicPartition, timeout: float) -> Extent | None:
        """See ``AskExtent``. The end that librdkafka was told last is as old as its last fetch."""
        asked = ConfluentPartition(place.topic, place.partition)
        try:
            known: tuple[int, int] | None = self._consumer.get_watermark_offsets(
                asked, timeout=timeout or 0.1, cached=timeout <= 0
            )
        except KafkaException:
            return None
        return Extent(*known) if known is not None and known[1] >= 0 else None

    def close(self) -> None:
        self._consumer.close()

    def _read(self, message: Message) -> KafkaMessage | None:
        error = message.error()
        if error is not None:
            self._judge(error)
            return None
        return read_message(message)

    def _on_assign(self, listener: RebalanceListener, partitions: Sequence[ConfluentPartition]) -> None:
        """With the offsets that the listener knows. librdkafka would ask for them once more, and where a transaction is open

        and the assignment changes meanwhile it takes the answer for "nothing is committed" and goes where
        ``auto.offset.reset`` says.
        https://github.com/confluentinc/librdkafka/blob/v2.16.0/src/rdkafka_assignment.c (rd_kafka_assignment_apply_offsets)
        """
        self.refusal = None
        starts = listener.on_assign(_places(partitions))
        for partition in partitions:
            start = starts.get(TopicPartition(partition.topic, partition.partition))
            if start is not None:
                partition.offset = start
        assign = self._consumer.assign if self._is_eager else self._consumer.incremental_assign
        try:
            assign(list(partitions))
        except KafkaException as error:
            raise ConsumerFatal(f"the assigned partitions can't be read: {error.args[0].str()}") from error

    def _judge(self, error: KafkaError) -> None:
        if error.fatal() or error.code() in _FATAL_CODES:
            raise ConsumerFatal(f"the Kafka consumer can't go on: {error.name()}: {error.str()}")
        if error.code() in _REFUSED_CODES:
            self.refusal = f"{error.name()}: {error.str()}"
        self._trouble(f"{error.name()}: {error.str()}")

    def _on_commit(self, error: KafkaError | None, partitions: Sequence[ConfluentPartition]) -> None:
        for partition in partitions:
            failed = error or partition.error
            position = Position(
                partition.topic, partition.partition, partition.offset, partition.metadata or ""
            )
            self._answer([position], failed.str() if failed is not None else None)

    def _answer(self, positions: Sequence[Position], error: str | None) -> None:
        if error is not None:
            self._trouble(f"committing offsets: {error}")
        if self._listener is not None:
            self._listener.on_commit(positions, error)


def _has_joined(metadata: bytes) -> bool:
    """Whether these bytes name a member and its generation: ``CGMDv2:``, generation, group, NUL, member, NUL, instance.

    Read from the bytes themselves, since a second question may be answered about another moment.
    https://github.com/confluentinc/librdkafka/blob/v2.16.0/src/rdkafka_txnmgr.c (rd_kafka_consumer_group_metadata_write)
    """
    if not metadata.startswith(_METADATA_MAGIC):
        raise ConsumerFatal(
            "this version of librdkafka writes group metadata in a form that is not known here"
        )
    rest = metadata[len(_METADATA_MAGIC) :]
    generation = int.from_bytes(rest[:4], sys.byteorder, signed=True)
    member = rest[4:].split(b"\0", 2)[1]
    return bool(member) and generation > 0


def _places(partitions: Sequence[ConfluentPartition]) -> list[TopicPartition]:
    return [TopicPartition(partition.topic, partition.partition) for partition in partitions]


def answers_of(answers: Sequence[ConfluentPartition]) -> list[Committed]:
    """What was asked for is committed; a partition that could not be answered is left out."""
    return [
        Committed(
            answer.topic,
            answer.partition,
            answer.offset if answer.offset >= 0 else None,
            answer.metadata or "",
        )
        for answer in answers
        if answer.error is None
    ]


def offsets_of(positions: Sequence[Position]) -> list[ConfluentPartition]:
    """Positions as librdkafka takes them."""
    return [
        ConfluentPartition(position.topic, position.partition, position.offset, position.metadata)
        for position in positions
    ]


def read_message(message: Message) -> KafkaMessage:
    """A message as it was fetched; one that is an error has no place."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise ValueError("a message without its place")
    return KafkaMessage(topic, partition, offset, message.key(), message.value(), _headers(message))


def _headers(message: Message) -> Headers:
    headers = message.headers()
    if not headers:
        return ()
    pairs = headers.items() if isinstance(headers, dict) else headers
    return tuple((name, value.encode() if isinstance(value, str) else value) for name, value in pairs)
