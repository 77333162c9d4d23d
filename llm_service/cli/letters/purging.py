"""``llm-service dlq purge``: letters marked as done with, and the beginning of the topic that nobody needs deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from llm_service.cli.checking.wording import counted
from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.letters.account import Account
from llm_service.cli.letters.errand import Errand, Told
from llm_service.cli.letters.opening import LOOK_S, reading, say, sending
from llm_service.cli.letters.prefix import Prefix
from llm_service.cli.letters.rate import Pace
from llm_service.cli.letters.selection import Selection
from llm_service.container.kafka import connection_config
from llm_service.contract.resolution import PURGED
from llm_service.errors import DependencyUnavailable, ServiceError
from llm_service.kafka.cluster import Cluster, NotPermitted
from llm_service.kafka.deletion import delete_before
from llm_service.kafka.letters import Letter, LetterReader, Stranger
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings


@dataclass(frozen=True, slots=True)
class Purge:
    """One run; everything in it has been checked."""

    settings: Settings
    selection: Selection
    dry_run: bool
    as_json: bool
    clock: Clock

    async def run(self) -> int:
        """The exit code. Raises ServiceError."""
        account = Account(self.settings.kafka.dlq_topic, self.as_json)
        with ExitStack() as parts:
            reader = await asyncio.to_thread(parts.enter_context, reading(self.settings))
            sender = None
            if not self.dry_run:
                sender = await asyncio.to_thread(parts.enter_context, sending(self.settings))
            prefixes: dict[int, Prefix] = {}

            def seen(found: Letter | Stranger, *, is_meant: bool) -> None:
                number = found.message.partition
                prefix = prefixes.setdefault(number, Prefix(number, 0))
                prefix.look(found, is_done=is_meant or found.resolution is not None)

            errand = Errand(
                reader,
                sender,
                self.selection,
                PURGED,
                None,
                str,
                Pace(None, self.clock),
                self.clock,
                Told(account.done, account.failed),
                seen,
            )
            try:
                tally = await errand.run()
            except (ServiceError, asyncio.CancelledError):
                account.cut("Marked", " as done with", errand.tally)
                raise
            code = account.end(
                "Would mark" if self.dry_run else "Marked", " as done with", tally, self.selection
            )
            return max(code, await asyncio.to_thread(self._delete, reader, errand, prefixes))

    def _delete(self, reader: LetterReader, errand: Errand, prefixes: dict[int, Prefix]) -> ExitCode:
        """What is done with at the beginning of each partition, and no more than was looked at."""
        for place, span in errand.spans.items():
            prefix = prefixes.setdefault(place.partition, Prefix(place.partition, 0))
            prefix.end = span.end
        targets = {
            place.partition: prefixes[place.partition].until
            for place, span in errand.spans.items()
            if prefixes[place.partition].until > span.first
        }
        refused: Mapping[int, DependencyUnavailable | None] = {}
        if not self.dry_run:
            cluster = Cluster(connection_config(self.settings), LOOK_S)
            refused = delete_before(cluster, self.settings.kafka.dlq_topic, targets, LOOK_S)
        failed = {number: error for number, error in refused.items() if error is not None}
        self._tell(prefixes, failed)
        return ExitCode.FAILED if failed else ExitCode.OK

    def _tell(self, prefixes: Mapping[int, Prefix], failed: Mapping[int, DependencyUnavailable]) -> None:
        topic = self.settings.kafka.dlq_topic
        gone = sum(prefix.letters for number, prefix in prefixes.items() if number not in failed)
        say(f"{'Would delete' if self.dry_run else 'Deleted'} {counted(gone, 'letter')} from {topic}.")
        for number, prefix in sorted(prefixes.items()):
            stay = prefix.unresolved + prefix.behind
            if number in failed:
                say(f"Nothing of partition {number} was deleted: {_reason(failed[number], topic)}")
            elif stay:
                held = (
                    f", and {prefix.behind:,} that {'is' if prefix.behind == 1 else 'are'} done with and "
                    "can't be deleted before what lies in front"
                    if prefix.behind
                    else ""
                )
                say(
                    f"{counted(stay, 'letter stays', 'letters stay')} in partition {number}: "
                    f"{prefix.unresolved:,} not resolved{held}. The first to stay, {number}/{prefix.kept}, {prefix.why}."
                )


def _reason(error: DependencyUnavailable, topic: str) -> str:
    if isinstance(error, NotPermitted):
        return f"grant DELETE on the topic {topic}, and call it again"
    if "policy" in error.message.lower():
        return f"the cleanup.policy of {topic} lets nothing be deleted: set it to delete, and call it again"
    return error.message
