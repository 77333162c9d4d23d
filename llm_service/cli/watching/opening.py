"""A reader as the settings have it, put away when it is left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from llm_service.cli.watching.reader import StatusReader
from llm_service.cli.watching.start import Start
from llm_service.container.kafka import connection_config, topic_names
from llm_service.kafka.topics import find_status_topic
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings

_LOOK_S = 5.0


@asynccontextmanager
async def open_reader(
    settings: Settings, clock: Clock, start: Start, ids: Iterable[str] = ()
) -> AsyncIterator[StatusReader]:
    """What is written from here on is read for sure. Raises DependencyUnavailable, SettingsInvalid."""
    # Its lines are about each attempt to connect; what they come to is told once, by the view.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    connection = connection_config(settings)
    topic = await asyncio.to_thread(find_status_topic, connection, topic_names(settings), _LOOK_S)
    reader = StatusReader(connection, topic, clock, ids)
    try:
        await reader.open(start)
        yield reader
    finally:
        await reader.close()
