"""``llm-service dlq replay``: originals to the tasks topic again."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass

from llm_service.cli.letters.account import Account
from llm_service.cli.letters.errand import Errand, Told
from llm_service.cli.letters.opening import largest_message, reading, sending
from llm_service.cli.letters.original import Originals
from llm_service.cli.letters.rate import Pace
from llm_service.cli.letters.selection import Selection
from llm_service.container.files import build_store
from llm_service.contract.resolution import REPLAYED
from llm_service.errors import ServiceError
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings


@dataclass(frozen=True, slots=True)
class Replay:
    """One run; everything in it has been checked."""

    settings: Settings
    selection: Selection
    rate: float | None
    dry_run: bool
    as_json: bool
    clock: Clock

    async def run(self) -> int:
        """The exit code. Raises ServiceError."""
        settings = self.settings
        account = Account(settings.kafka.dlq_topic, self.as_json)
        with ExitStack() as parts:
            reader = await asyncio.to_thread(parts.enter_context, reading(settings))
            largest = await asyncio.to_thread(largest_message, settings)
            sender = None
            if not self.dry_run:
                sender = await asyncio.to_thread(parts.enter_context, sending(settings))
            store = build_store(settings)
            if store is not None:
                parts.callback(store.close)
            errand = Errand(
                reader,
                sender,
                self.selection,
                REPLAYED,
                Originals(reader, store, settings.minio.readable_buckets, largest),
                self._target,
                Pace(self.rate, self.clock),
                self.clock,
                Told(account.done, account.failed),
            )
            goal = f" to {settings.kafka.tasks_topic}"
            try:
                tally = await errand.run()
            except (ServiceError, asyncio.CancelledError):
                account.cut("Replayed", goal, errand.tally)
                raise
            return account.end("Would replay" if self.dry_run else "Replayed", goal, tally, self.selection)

    def _target(self, topic: str) -> str:
        """Tasks go to the tasks topic, from wherever they came; a notification is no task, and goes back to its own."""
        kafka = self.settings.kafka
        return topic if topic == kafka.file_drop_topic else kafka.tasks_topic
