"""The dead-letter topic, read: letters, which of them are done with, and what is neither. Blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from llm_service.contract.dead_letter import Decoded, decode
from llm_service.contract.message import identify
from llm_service.contract.resolution import Resolution, Resume, decode_note
from llm_service.errors import DependencyUnavailable
from llm_service.kafka.config import ConnectionConfig
from llm_service.kafka.port import KafkaMessage, TopicPartition
from llm_service.kafka.scan import Span, TopicScan

# A worker that was killed leaves its transaction open for transaction.timeout.ms (10 s) and the broker's sweep (10 s).
_UNDECIDED_S = 30.0
_LOOK_AGAIN_S = 0.2


@dataclass(frozen=True, slots=True)
class Letter:
    """One message of the topic that is a dead letter."""

    message: KafkaMessage
    decoded: Decoded
    resolution: Resolution | None
    """None while it waits for somebody."""

    @property
    def place(self) -> tuple[int, int]:
        """Partition and offset on the dead-letter topic."""
        return self.message.partition, self.message.offset

    @property
    def task_id(self) -> str:
        """As the worker understood it."""
        why, original = self.decoded.letter, self.decoded
        value = None if original.reference is not None else original.value
        return identify(original.key, value, original.headers, why.topic, why.partition, why.offset).task_id


@dataclass(frozen=True, slots=True)
class Stranger:
    """A message of the topic that is no dead letter and nothing of ours."""

    message: KafkaMessage
    resolution: Resolution | None


@dataclass(frozen=True, slots=True)
class Extent:
    """What lay on the topic at one moment, and which letters of it were done with."""

    spans: Mapping[TopicPartition, Span]
    resolutions: Mapping[TopicPartition, Mapping[int, Resolution]] = field(default_factory=dict)


class LetterReader:
    """Reads one dead-letter topic, as often as it is asked. Close it, or use it as a context."""

    def __init__(self, connection: ConnectionConfig, topic: str, timeout_s: float) -> None:
        """``timeout_s``: how long the brokers may be silent. Raises SettingsInvalid."""
        self._connection = connection
        self._topic = topic
        self._timeout_s = timeout_s
        self._scan = TopicScan(connection, timeout_s)

    def __enter__(self) -> LetterReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._scan.close()

    def extent(self) -> Extent:
        """As far as it is decided, with the first of two readings: the resolutions. Raises DependencyUnavailable.

        A resolution lies behind its letter in the same partition, so that what is done with is known only at the end.
        """
        spans = self._scan.spans(self._topic)
        found: dict[TopicPartition, dict[int, Resolution]] = {}
        for scanned in self._scan.read(spans):
            message = scanned.message
            note = decode_note(message.headers)
            if isinstance(note, Resolution) and note.partition == message.partition:
                found.setdefault(message.place, {})[note.offset] = note
        return Extent(spans, found)

    def settle(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Return when all that lies on the topic now is decided. Raises DependencyUnavailable.

        Behind the open transaction of a worker lie resolutions that a reader of decided messages does not see yet;
        whoever sends must, or it sends again.
        """
        with TopicScan(self._connection, self._timeout_s, committed=False) as undecided:
            ends = {place: span.end for place, span in undecided.spans(self._topic).items()}
        until = monotonic() + _UNDECIDED_S
        while True:
            decided = self._scan.spans(self._topic)
            late = [place for place, end in ends.items() if decided[place].end < end]
            if not late:
                return
            if monotonic() > until:
                raise DependencyUnavailable(
                    f"a transaction over {self._topic} (partition {late[0].partition}) has been open for "
                    f"{_UNDECIDED_S:.0f} s, and what lies behind it can't be read: end the producer that holds it "
                    f"(kafka-transactions.sh find-hanging), then try again"
                )
            time.sleep(_LOOK_AGAIN_S)

    def letters(self, extent: Extent) -> Iterator[Letter | Stranger]:
        """All within the extent, partition by partition in its order. Raises DependencyUnavailable."""
        for scanned in self._scan.read(extent.spans):
            message = scanned.message
            resolution = extent.resolutions.get(message.place, {}).get(message.offset)
            decoded = decode(message.key, message.value, message.headers)
            if decoded is not None:
                yield Letter(message, decoded, resolution)
            elif decode_note(message.headers) is None:
                yield Stranger(message, resolution)

    def message_at(self, topic: str, partition: int, offset: int) -> KafkaMessage | None:
        """One message of any topic, while it is there. Raises DependencyUnavailable."""
        place = TopicPartition(topic, partition)
        span = self._scan.spans(topic).get(place)
        if span is None or not span.first <= offset < span.end:
            return None
        found = self._scan.read({place: Span(offset, offset + 1)})
        return next((each.message for each in found if each.message.offset == offset), None)


class ResumeCalls:
    """Looks for the word that stopped workers may go on. Blocks; one thread at a time."""

    def __init__(self, connection: ConnectionConfig, topic: str, group: str, timeout_s: float) -> None:
        """Raises SettingsInvalid."""
        self._scan = TopicScan(connection, timeout_s, committed=False)
        self._topic = topic
        self._group = group
        self._read_to: dict[TopicPartition, int] | None = None

    def begin(self) -> None:
        """Only what comes from now on counts. Raises DependencyUnavailable."""
        self._read_to = {place: span.end for place, span in self._scan.spans(self._topic).items()}

    def came(self) -> bool:
        """Whether the word has come since it was last asked for. Raises DependencyUnavailable."""
        if self._read_to is None:
            self.begin()
            return False
        spans = self._scan.spans(self._topic)
        notes = [decode_note(each.message.headers) for each in self._scan.read(spans, self._read_to)]
        self._read_to = {place: span.end for place, span in spans.items()}
        return any(isinstance(note, Resume) and note.group == self._group for note in notes)

    def close(self) -> None:
        self._scan.close()
