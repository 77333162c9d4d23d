"""Settling in ``at_least_once``: the event is acknowledged first, the offset committed after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llm_service import events
from llm_service.contract.record import Record
from llm_service.errors import DeliveryRevoked, PublishFailed, TopicNotWritable
from llm_service.kafka.publisher import Publisher
from llm_service.kafka.source import KafkaSource
from llm_service.resilience.clock import Clock
from llm_service.tasks.ports import Delivery, Outcome


@dataclass(frozen=True, slots=True)
class OutcomeTopics:
    """Where outcomes go."""

    status: str
    dead_letter: str
    retry: str = ""
    """Empty where there is no such topic; then no outcome has such a message."""
    tasks: str = ""

    def addressed(self, outcome: Outcome) -> list[tuple[str, Record]]:
        """The messages of an outcome, each with its topic, in the order in which they are to be written."""
        found = (
            (self.status, outcome.status),
            (self.dead_letter, outcome.dead_letter),
            (self.retry, outcome.retry),
            *((self.tasks, task) for task in outcome.tasks),
        )
        return [(topic, record) for topic, record in found if record is not None]


@dataclass(frozen=True, slots=True)
class RepublishPolicy:
    """Seconds between attempts to publish an outcome Kafka did not take: doubled from first to last."""

    first_delay_s: float = 0.5
    last_delay_s: float = 10.0


class AtLeastOnceSettler:
    """Publishes the outcome, waits for its acknowledgement, then hands the offset to the consumer.

    While Kafka does not take it, the outcome is offered again for as long as its partition is ours: nobody else
    may answer for it, and a decided outcome is never thrown away.
    """

    def __init__(
        self,
        publisher: Publisher,
        source: Callable[[], KafkaSource],
        topics: OutcomeTopics,
        clock: Clock,
        observe: events.Observer,
        policy: RepublishPolicy = RepublishPolicy(),
    ) -> None:
        self._publisher = publisher
        self._source = source
        self._topics = topics
        self._clock = clock
        self._observe = observe
        self._policy = policy

    async def settle(self, delivery: Delivery, outcome: Outcome) -> None:
        for topic, record in self._topics.addressed(outcome):
            await self._publish(delivery, topic, record)
        self._require_live(delivery)
        self._source().finish(delivery)

    def release(self, delivery: Delivery) -> None:
        """Nothing to do: an offset that is not finished is never committed, so its message comes again."""

    async def _publish(self, delivery: Delivery, topic: str, record: Record) -> None:
        delay = self._policy.first_delay_s
        while True:
            self._require_live(delivery)
            try:
                await self._publisher.publish(topic, record)
            except (PublishFailed, TopicNotWritable) as error:
                self._observe(events.Trouble("kafka", error.message))
                await self._clock.sleep(delay)
                delay = min(delay * 2, self._policy.last_delay_s)
            else:
                return

    def _require_live(self, delivery: Delivery) -> None:
        if not self._source().is_live(delivery):
            raise DeliveryRevoked


class KafkaStatusSink:
    """PROCESSING events: acknowledged before the work starts, so that a key's events stay in order."""

    def __init__(self, publisher: Publisher, topic: str) -> None:
        self._publisher = publisher
        self._topic = topic

    async def publish(self, record: Record) -> None:
        await self._publisher.publish(self._topic, record)
