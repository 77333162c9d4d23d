"""Reading topics from here to there, outside any group: what lies on them when the reading begins, and no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ConfluentPartition

from llm_service.errors import DependencyUnavailable
from llm_service.kafka.config import ConnectionConfig, accepted
from llm_service.kafka.confluent import read_message
from llm_service.kafka.port import KafkaMessage, TopicPartition

# One call for many messages; a thousand of a kilobyte are a megabyte here.
_BATCH = 1000
_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Scanned:
    """A message with the time that its producer or its broker gave it."""

    message: KafkaMessage
    timestamp: datetime | None
    """Aware; None for a message without one."""


@dataclass(frozen=True, slots=True)
class Span:
    """A partition's offsets as the brokers have them."""

    first: int
    end: int
    """Behind the newest message."""


class TopicScan:
    """A reader of one cluster. Blocks, so off the event loop; close it, or use it as a context."""

    def __init__(self, connection: ConnectionConfig, timeout_s: float, *, committed: bool = True) -> None:
        """``timeout_s``: how long the brokers may be silent. ``committed``: leave aborted transactions out.

        Raises SettingsInvalid.
        """
        self._timeout_s = timeout_s
        properties: dict[str, object] = {
            **connection.properties(),
            # Never subscribed and never committing: the name is only what the client insists on.
            "group.id": "llm-service-scan",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "enable.partition.eof": True,
            # What is there is read and no more: a broker that waits for more (500 ms) holds up the next reading.
            "fetch.wait.max.ms": 10,
            "error_cb": self._on_error,
        }
        self._reason = ""
        with accepted():
            self._consumer = Consumer(properties)

    def __enter__(self) -> TopicScan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._consumer.close()

    def spans(self, topic: str) -> dict[TopicPartition, Span]:
        """All partitions of a topic; none where there is no such topic. Raises DependencyUnavailable."""
        with self._told(topic):
            found = self._consumer.list_topics(topic, timeout=self._timeout_s).topics[topic]
            if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise KafkaException(found.error)
            return {TopicPartition(topic, number): self._span(topic, number) for number in found.partitions}

    def offsets_at(self, places: Iterable[TopicPartition], moment: datetime) -> dict[TopicPartition, int]:
        """The first offset of each that was written at ``moment`` or later; the end where there is none.

        Raises DependencyUnavailable.
        """
        milliseconds = int(moment.timestamp() * 1000)
        asked = [ConfluentPartition(place.topic, place.partition, milliseconds) for place in places]
        with self._told("the offsets of a moment"):
            found = self._consumer.offsets_for_times(asked, timeout=self._timeout_s)
        # A negative offset is librdkafka's word for the end.
        return {TopicPartition(f.topic, f.partition): f.offset if f.offset >= 0 else 2**62 for f in found}

    def read(
        self, spans: Mapping[TopicPartition, Span], since: Mapping[TopicPartition, int] | None = None
    ) -> Iterator[Scanned]:
        """What lies within ``spans``, partition by partition in its order; ``since`` skips what lies before.

        Raises DependencyUnavailable when the brokers are silent for too long: then what was not read is not known.
        """
        starts = {place: max(span.first, (since or {}).get(place, 0)) for place, span in spans.items()}
        left = {place: span.end for place, span in spans.items() if starts[place] < span.end}
        if not left:
            return
        places = [ConfluentPartition(p.topic, p.partition, starts[p]) for p in left]
        with self._told(", ".join(sorted({place.topic for place in left}))):
            self._consumer.assign(places)
            yield from self._until_read(left)
            self._consumer.unassign()

    def _until_read(self, left: dict[TopicPartition, int]) -> Iterator[Scanned]:
        silent_s = 0.0
        while left:
            messages = self._next()
            silent_s = 0.0 if messages else silent_s + _POLL_S
            if silent_s >= self._timeout_s:
                raise DependencyUnavailable(f"Kafka sends nothing: {self._reason or 'no answer'}")
            for message in messages:
                place = TopicPartition(message.topic() or "", message.partition() or 0)
                if place not in left:
                    continue  # beyond the span, while other partitions are still read
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 -- no other name
                    raise KafkaException(error)
                offset = message.offset() or 0
                if error is None and offset < left[place]:
                    yield Scanned(read_message(message), _time(message))
                # At the end there may be a transaction's marker, which is an offset and no message.
                if error is not None or offset >= left[place] - 1:
                    del left[place]

    def _next(self) -> list[Message]:
        """What is here: ``consume`` with a time would wait all of it for a batch that does not fill."""
        first = self._consumer.poll(_POLL_S)
        return [] if first is None else [first, *self._consumer.consume(_BATCH, 0)]

    def _span(self, topic: str, number: int) -> Span:
        place = ConfluentPartition(topic, number)
        first, end = self._consumer.get_watermark_offsets(place, timeout=self._timeout_s)
        return Span(first, end)

    def _on_error(self, error: KafkaError) -> None:
        self._reason = error.str()

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            reason = error.args[0].str()
            raise DependencyUnavailable(f"{what} could not be read: {reason or self._reason}") from error


def _time(message: Message) -> datetime | None:
    kind, milliseconds = message.timestamp()
    return None if kind == TIMESTAMP_NOT_AVAILABLE else datetime.fromtimestamp(milliseconds / 1000, UTC)
