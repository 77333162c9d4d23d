"""Whether the brokers answer, asked actively.

A broker that is stopped or cut off keeps its connections: a client that only waits takes minutes to find out.
"""

from __future__ import annotations

import asyncio

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from llm_service.errors import DependencyUnavailable
from llm_service.kafka.config import ConnectionConfig

# A broker answers in milliseconds; with the pause between two checks this stays within a readiness limit.
_ANSWER_S = 3.0


class BrokerCheck:
    """Asks for one topic's metadata, on a connection of its own: the consumer's is its thread's alone."""

    def __init__(self, connection: ConnectionConfig, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._client: AdminClient | None = None

    async def __call__(self) -> None:
        """Return when a broker has answered. Raises DependencyUnavailable."""
        if self._client is None:
            self._client = AdminClient(dict(self._connection.properties()))
        try:
            await asyncio.to_thread(self._client.list_topics, self._topic, _ANSWER_S)
        except KafkaException as error:
            reason = error.args[0].str()
            raise DependencyUnavailable(
                f"no broker answers at {self._connection.bootstrap_servers} ({reason})"
            ) from error
