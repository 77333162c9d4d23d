"""A plain idempotent producer with its own poll thread, awaited from the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from llm_service.contract.record import Record
from llm_service.errors import DeliveryError, MessageTooLarge, PublishFailed, TopicNotWritable

_POLL_S = 0.05
_NOT_WRITABLE = frozenset(
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


@dataclass(frozen=True, slots=True)
class _Report:
    future: asyncio.Future[None]
    topic: str
    error: KafkaError | None


class Publisher:
    """Publishes records and waits for the brokers' acknowledgement.

    Reports of one poll cross to the event loop with one wake-up. Lives on the loop that starts it.
    """

    def __init__(self, config: Mapping[str, object]) -> None:
        self._config = dict(config)
        self._producer = Producer(self._config)
        self._broken = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reports: list[_Report] = []
        self._stopped = threading.Event()
        self._flush_s = 0.0
        self._thread = threading.Thread(target=self._poll, name="kafka-publisher", daemon=True)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def publish(self, topic: str, record: Record) -> None:
        """Return when the record is acknowledged.

        Raises MessageTooLarge, TopicNotWritable, and PublishFailed for what may pass. Waits at most for the
        producer's ``message.timeout.ms``.
        """
        if self._loop is None:
            raise PublishFailed("the publisher was not started")
        future: asyncio.Future[None] = self._loop.create_future()

        def on_delivery(error: KafkaError | None, _: Message) -> None:
            self._judge(error)
            self._reports.append(_Report(future, topic, error))

        try:
            self._producer.produce(
                topic, record.value, record.key, on_delivery=on_delivery, headers=list(record.headers)
            )
        except BufferError as error:
            raise PublishFailed(
                "the producer's queue is full: Kafka takes messages slower than they come"
            ) from error
        except KafkaException as error:
            self._judge(error.args[0])
            raise _error(topic, error.args[0]) from error
        await future

    async def close(self, timeout: float) -> None:
        """Send what is queued, for at most ``timeout`` seconds."""
        self._flush_s = timeout
        self._stopped.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, timeout + _POLL_S)

    def _poll(self) -> None:
        while not self._stopped.is_set():
            self._producer.poll(_POLL_S)
            self._hand_over()
            if self._broken:
                self._rebuild()
        # Delivery callbacks run inside poll and flush, always on this thread: the list needs no lock.
        self._producer.flush(self._flush_s)
        self._hand_over()

    def _judge(self, error: KafkaError | None) -> None:
        if error is not None and (error.fatal() or error.code() == KafkaError._FATAL):  # noqa: SLF001
            self._broken = True

    def _rebuild(self) -> None:
        """An idempotent producer that met a fatal error takes nothing more: its messages fail, a new one takes them."""
        broken, self._producer = self._producer, Producer(self._config)
        self._broken = False
        broken.purge()
        broken.poll(0)
        self._hand_over()

    def _hand_over(self) -> None:
        if self._reports and self._loop is not None and not self._loop.is_closed():
            reports, self._reports = self._reports, []
            self._loop.call_soon_threadsafe(_resolve, reports)


def _resolve(reports: list[_Report]) -> None:
    for report in reports:
        if report.future.done():
            continue
        if report.error is None:
            report.future.set_result(None)
        else:
            report.future.set_exception(_error(report.topic, report.error))


def _error(topic: str, error: KafkaError) -> DeliveryError:
    if error.code() in _TOO_LARGE:
        return MessageTooLarge(f"{topic} does not take a message of this size: {error.str()}")
    if error.code() in _NOT_WRITABLE:
        return TopicNotWritable(
            f"{topic} can't be written: {error.str()}: create the topic or grant write to it"
        )
    return PublishFailed(f"Kafka did not take a message for {topic}: {error.str()}")
