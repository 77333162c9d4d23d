"""Sending letters on: the original and the word that its letter is done with, together where the cluster can. Blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from llm_service.errors import DeliveryError, DependencyUnavailable, PublishFailed
from llm_service.kafka.bounded_transactions import CALL_LIMIT_S, BoundedTransactions
from llm_service.kafka.publisher import error_of
from llm_service.kafka.transaction import Aborted, MessagesRefused, Outgoing, TransactionPort, Undecided
from llm_service.kafka.transactional_producer import (
    BY_KEY,
    TransactionalProducer,
    transactional_properties,
)

# Kafka away: tried again for so long, then said. A leader is elected in some seconds.
_PATIENCE_S = 30.0
_PAUSE_S = 0.5
_FENCED = ("_FENCED", "PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH")


class Overtaken(DeliveryError):
    """Another replay or purge of the same group began, and has taken over: this one ends."""


class LetterSender(Protocol):
    """What the commands send by."""

    most: int
    """Letters of one ``send``, at most."""

    def open(self) -> None:
        """Raises DependencyUnavailable."""
        ...

    def give_up(self) -> None:
        """Any thread: an end that Kafka does not tell is not waited for any longer."""
        ...

    def send(self, messages: Sequence[Outgoing]) -> None:
        """Return when all are there: originals first, what says of them that they were sent last.

        Raises MessageTooLarge and TopicNotWritable, after which none of them is there, and Overtaken,
        DependencyUnavailable, after which it may be that they are.
        """
        ...

    def close(self) -> None: ...


class TransactionalSender:
    """All of a batch in one transaction.

    The id is the same for every replay of a group: whoever opens it ends what another has left open, and keeps that
    one from sending any more, so that no letter is sent twice however many begin.
    """

    # A transaction costs some milliseconds, whatever is in it, and holds back readers for as long.
    most = 200

    def __init__(
        self,
        producer: Mapping[str, object],
        extra: Mapping[str, str],
        transactional_id: str,
        monotonic: Callable[[], float] = time.monotonic,
        limit_s: float = CALL_LIMIT_S,
    ) -> None:
        """``producer``: properties of a plain producer; ``extra``: the deployment's own. ``limit_s``: of each call."""
        config = transactional_properties(producer, transactional_id, extra)
        self._port: TransactionPort = BoundedTransactions(
            lambda: TransactionalProducer(config, {}, monotonic), limit_s
        )
        self._monotonic = monotonic

    def open(self) -> None:
        self._port.open()

    def send(self, messages: Sequence[Outgoing]) -> None:
        until = self._monotonic() + _PATIENCE_S
        while True:
            try:
                return self._port.run(messages, [], b"")
            except MessagesRefused as refused:
                raise next(iter(refused.named.values())) from refused
            except Undecided as unknown:
                if any(name in unknown.message for name in _FENCED):
                    raise Overtaken from unknown
                raise DependencyUnavailable(unknown.message) from unknown
            except Aborted as aborted:
                if self._monotonic() > until:
                    raise DependencyUnavailable(aborted.message) from aborted
                time.sleep(_PAUSE_S)

    def give_up(self) -> None:
        """Any thread: an end that Kafka does not tell is not waited for any longer."""
        self._port.give_up()

    def close(self) -> None:
        self._port.close()


class PlainSender:
    """One after the other, for a cluster without transactions: cut off between the two, a letter is sent again."""

    most = 1

    def __init__(self, producer: Mapping[str, object]) -> None:
        self._producer = Producer(dict(producer))
        timeout_ms = producer.get("message.timeout.ms")
        # By then each message has been reported, unless librdkafka does not keep its own limit.
        self._flush_s = (timeout_ms / 1000 if isinstance(timeout_ms, int) else _PATIENCE_S) + _PATIENCE_S

    def open(self) -> None:
        """Connects when something is sent."""

    def send(self, messages: Sequence[Outgoing]) -> None:
        for step in (
            [message for message in messages if message.partition is None],
            [message for message in messages if message.partition is not None],
        ):
            self._step(step)

    def give_up(self) -> None:
        """Nothing waits longer than message.timeout.ms."""

    def close(self) -> None:
        self._producer.purge()

    def _step(self, messages: Sequence[Outgoing]) -> None:
        failed: list[DeliveryError] = []
        for message in messages:
            record = message.record
            partition = BY_KEY if message.partition is None else message.partition
            try:
                self._producer.produce(
                    message.topic,
                    record.value,
                    record.key,
                    partition,
                    on_delivery=partial(_note, message.topic, failed),
                    headers=list(record.headers),
                )
            except (BufferError, KafkaException) as error:
                failed.append(
                    error_of(message.topic, error.args[0])
                    if isinstance(error, KafkaException)
                    else PublishFailed("the producer's queue is full")
                )
        if self._producer.flush(self._flush_s):
            failed.append(PublishFailed(f"Kafka has not said within {self._flush_s:g} s that it took them"))
        if failed:
            worst = failed[0]
            raise DependencyUnavailable(worst.message) if isinstance(worst, PublishFailed) else worst


def _note(topic: str, failed: list[DeliveryError], error: KafkaError | None, _: Message) -> None:
    if error is not None:
        failed.append(error_of(topic, error))
