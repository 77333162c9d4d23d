"""The status topic as the fold reads it: from where it was left to where it ends now."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping

from llm_service.container.kafka import connection_config
from llm_service.contract.record import Record
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.scan import Scanned, Span, TopicScan
from llm_service.ledger.fold import Chunk, Extent
from llm_service.settings import Settings

# Brokers that are silent for so long are asked again later; a stop waits for no more than this.
_SILENCE_S = 3.0
# A chunk is one statement: some hundred rows, or few large ones.
_CHUNK = 500
_CHUNK_BYTES = 4_000_000


class StatusTopic:
    """See ``StatusEvents``. Made anew for each reading: a consumer that waits for its turn costs threads and sockets."""

    def __init__(self, settings: Settings) -> None:
        self._connection = connection_config(settings)

    def extents(self, topic: str) -> Mapping[int, Extent]:
        with TopicScan(self._connection, _SILENCE_S) as scan:
            spans = scan.spans(topic)
        return {place.partition: Extent(span.first, span.end) for place, span in spans.items()}

    def chunks(self, topic: str, starts: Mapping[int, Extent]) -> Generator[Chunk, None, None]:
        with TopicScan(self._connection, _SILENCE_S) as scan:
            spans = {TopicPartition(topic, number): Span(e.first, e.end) for number, e in starts.items()}
            yield from _chunks(scan.read(spans))


def _chunks(read: Iterator[Scanned]) -> Generator[Chunk, None, None]:
    records: list[Record] = []
    reached: dict[int, int] = {}
    size = 0
    for found in read:
        message = found.message
        records.append(Record(message.key, message.value, message.headers))
        reached[message.partition] = message.offset + 1
        size += records[-1].size
        if len(records) >= _CHUNK or size >= _CHUNK_BYTES:
            yield Chunk(tuple(records), reached)
            records, reached, size = [], {}, 0
    if records:
        yield Chunk(tuple(records), reached)
