"""A plain idempotent producer, awaited from the event loop.

The loop itself asks librdkafka for delivery reports, by a timer that runs only as fast as something is under way. A
thread that waits for them has to be woken, to get the interpreter's lock from a busy loop, and to wake the loop in
turn: with 200 tasks of 100 ms at once and two busy cores that left 66 % of the slots at work, this leaves 70 %.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from llm_service.contract.record import Record
from llm_service.errors import DeliveryError, MessageTooLarge, PublishFailed, TopicNotWritable

# A broker acknowledges in some milliseconds: this is what a report waits here at most, and half of it on average.
_UNDER_WAY_S = 0.001
# Nothing for so many looks in a row: the broker is slow or away, and looking more often brings nothing sooner.
_FRUITLESS_LOOKS = 50
_SLOW_S = 0.02
# With nothing under way only librdkafka's own news (a broker lost) is asked for.
_IDLE_S = 0.2
NOT_WRITABLE = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 -- librdkafka's local codes have no other name
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_TOO_LARGE = frozenset(
    {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE, KafkaError.RECORD_LIST_TOO_LARGE}
)


class Publisher:
    """Publishes records and waits for the brokers' acknowledgement. Lives on the loop that starts it."""

    def __init__(self, config: Mapping[str, object]) -> None:
        self._config = dict(config)
        self._producer = Producer(self._config)
        self._broken = False
        self._fatal: KafkaError | None = None
        """What the last producer that was replaced met: its messages are told no more than that they were purged."""
        self._leaving: list[Producer] = []
        """Replaced ones, until their last message has been reported."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pause_s = _IDLE_S
        self._fruitless = 0

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._look_after(self._loop, _IDLE_S)

    async def publish(self, topic: str, record: Record) -> None:
        """Return when the record is acknowledged.

        Raises MessageTooLarge, TopicNotWritable, and PublishFailed for what may pass. Waits at most for the
        producer's ``message.timeout.ms``.
        """
        loop = self._loop
        if loop is None:
            raise PublishFailed("the publisher was not started")
        producer = self._producer
        future: asyncio.Future[None] = loop.create_future()

        def on_delivery(error: KafkaError | None, _: Message) -> None:
            self._judge(producer, error)
            if not future.done():
                future.set_result(None) if error is None else future.set_exception(self._told(topic, error))

        try:
            producer.produce(
                topic, record.value, record.key, on_delivery=on_delivery, headers=list(record.headers)
            )
        except BufferError as error:
            raise PublishFailed(
                "the producer's queue is full: Kafka takes messages slower than they come"
            ) from error
        except KafkaException as error:
            self._judge(producer, error.args[0])
            raise error_of(topic, error.args[0]) from error
        self._fruitless = 0
        if self._pause_s > _UNDER_WAY_S:
            self._look_after(loop, _UNDER_WAY_S)
        await future

    async def close(self, timeout: float) -> None:
        """Send what is queued, for at most ``timeout`` seconds."""
        until = time.monotonic() + timeout
        self._producer.poll(0)
        while len(self._producer) and time.monotonic() < until:
            await asyncio.sleep(_UNDER_WAY_S)
            self._producer.poll(0)
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let librdkafka call back: reports and errors come from inside ``poll``, which does not wait."""
        try:
            served = self._serve()
            self._fruitless = 0 if served else self._fruitless + 1
            self._leaving = [broken for broken in self._leaving if len(broken)]
            if self._broken:
                self._replace()
        finally:
            # Whatever a callback raised is the loop's to report; who waits must still hear of his message.
            self._look_after(loop, self._pause())

    def _serve(self) -> int:
        try:
            return self._producer.poll(0) + sum(broken.poll(0) for broken in self._leaving)
        except KafkaException as error:
            # A fatal error comes as an exception out of poll, whatever callback there is, and is for good.
            self._fatal, self._broken = error.args[0], True
            return 1

    def _told(self, topic: str, error: KafkaError) -> DeliveryError:
        purged = error.code() == KafkaError._PURGE_QUEUE  # noqa: SLF001
        return error_of(topic, self._fatal if purged and self._fatal is not None else error)

    def _pause(self) -> float:
        if not len(self._producer) and not self._leaving:
            return _IDLE_S
        return _UNDER_WAY_S if self._fruitless < _FRUITLESS_LOOKS else _SLOW_S

    def _judge(self, producer: Producer, error: KafkaError | None) -> None:
        is_fatal = error is not None and (error.fatal() or error.code() == KafkaError._FATAL)  # noqa: SLF001
        self._broken = self._broken or (is_fatal and producer is self._producer)

    def _replace(self) -> None:
        """An idempotent producer that met a fatal error takes nothing more: its messages fail, a new one takes them."""
        broken, self._producer = self._producer, Producer(self._config)
        self._broken = False
        broken.purge()
        self._leaving.append(broken)

    def _look_after(self, loop: asyncio.AbstractEventLoop, pause_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._pause_s = pause_s
        self._timer = loop.call_later(pause_s, self._look, loop)


def error_of(topic: str, error: KafkaError) -> DeliveryError:
    """What it means that ``topic`` did not take a message."""
    if error.code() in _TOO_LARGE:
        return MessageTooLarge(f"{topic} does not take a message of this size: {error.str()}")
    if error.code() in NOT_WRITABLE:
        return TopicNotWritable(
            f"{topic} can't be written: {error.str()}: create the topic or grant write to it"
        )
    return PublishFailed(f"Kafka did not take a message for {topic}: {error.str()}")
