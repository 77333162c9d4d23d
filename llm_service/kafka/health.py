"""Whether the cluster answers, and how far behind this worker is, from what librdkafka tells of itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from confluent_kafka import KafkaError

from llm_service import events

_DOWN = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL})  # noqa: SLF001


class ClusterHealth:
    """Fed by the consumer's callbacks on its own thread; read anywhere.

    "All brokers down" comes as an error at once; that they are back shows in the next statistics.
    """

    def __init__(self, observe: events.Observer) -> None:
        self._observe = observe
        self.up = True
        self.reason = ""
        self.lag: Mapping[int, int] = {}
        """Messages behind the end of each assigned partition, by the committed offset."""

    def on_error(self, error: KafkaError) -> None:
        if error.code() in _DOWN:
            self._change(up=False, reason=f"{error.name()}: {error.str()}")

    def on_statistics(self, text: str) -> None:
        statistics = json.loads(text)
        states = [broker.get("state") for broker in statistics.get("brokers", {}).values()]
        if "UP" in states:
            self._change(up=True, reason="")
        elif states:
            self._change(up=False, reason="no connection to any broker")
        self.lag = _lag(statistics)

    def _change(self, *, up: bool, reason: str) -> None:
        if up != self.up:
            self._observe(events.ConnectionChanged("kafka", up, reason))
        self.up, self.reason = up, reason


def _lag(
    statistics: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Mapping[str, int]]]]],
) -> dict[int, int]:
    found = {}
    for topic in statistics.get("topics", {}).values():
        for number, partition in topic.get("partitions", {}).items():
            lag = partition.get("consumer_lag", -1)
            if lag >= 0:
                found[int(number)] = lag
    return found


def threadsafe(observe: events.Observer, loop: asyncio.AbstractEventLoop) -> events.Observer:
    """The observer, to be called from another thread; it runs on the loop."""

    def pass_on(event: events.Event) -> None:
        loop.call_soon_threadsafe(observe, event)

    return pass_on
