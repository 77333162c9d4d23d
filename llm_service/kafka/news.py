"""What librdkafka tells of itself: errors that pass, and how far behind this worker is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping

from confluent_kafka import KafkaError

from llm_service import events


class KafkaNews:
    """Fed by the clients' callbacks on their own threads; read anywhere."""

    def __init__(self, observe: events.Observer) -> None:
        self._observe = observe
        self.lag: Mapping[tuple[str, int], int] = {}
        """Messages behind the end of each assigned partition (topic, number), by the committed offset."""
        self._committed: dict[tuple[str, int], int] = {}
        self._gone: set[tuple[str, int]] = set()
        """Partitions that have left: librdkafka goes on telling the lag that they had then."""

    def on_error(self, error: KafkaError) -> None:
        self._observe(events.Trouble("kafka", f"{error.name()}: {error.str()}"))

    def on_statistics(self, text: str) -> None:
        found = _lag(json.loads(text), self._committed)
        self.lag = {place: lag for place, lag in found.items() if place not in self._gone}

    def on_event(self, event: events.Event) -> None:
        """The consumer itself does not hear of offsets that transactions commit, and then tells no lag."""
        match event:
            case events.OffsetsCommitted():
                self._committed[event.topic, event.partition] = event.offset
            case events.PartitionsAssigned():
                self._gone -= self._forgotten(event.topic, event.partitions)
            case events.PartitionsRevoked():
                self._gone |= self._forgotten(event.topic, event.partitions)
            case _:
                pass

    def _forgotten(self, topic: str, numbers: Iterable[int]) -> set[tuple[str, int]]:
        places = {(topic, number) for number in numbers}
        for place in places:
            self._committed.pop(place, None)
        return places


def _lag(
    statistics: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Mapping[str, int]]]]],
    committed: Mapping[tuple[str, int], int],
) -> dict[tuple[str, int], int]:
    found = {}
    for name, topic in statistics.get("topics", {}).items():
        for number, partition in topic.get("partitions", {}).items():
            place, end = (name, int(number)), partition.get("hi_offset", -1)
            lag = partition.get("consumer_lag", -1)
            if place in committed and end >= 0:
                found[place] = max(0, end - committed[place])
            elif lag >= 0:
                found[place] = lag
    return found


def threadsafe(observe: events.Observer, loop: asyncio.AbstractEventLoop) -> events.Observer:
    """The observer, to be called from another thread; it runs on the loop."""

    def pass_on(event: events.Event) -> None:
        loop.call_soon_threadsafe(observe, event)

    return pass_on
