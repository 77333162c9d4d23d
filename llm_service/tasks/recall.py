"""What the life of a task asks of the ledger: was it answered before, and whose answer of a run is the one that counts."""

from __future__ import annotations

from llm_service.contract.envelope import Identity
from llm_service.contract.record import Record
from llm_service.contract.status import Failure, Success
from llm_service.contract.terminal import read_event, read_terminal
from llm_service.tasks.outcome import Decided, Outcomes
from llm_service.tasks.ports import Delivery, Entry, Ledger, Outcome
from llm_service.tasks.window import Finished

_ELSEWHERE = ("", -1, -1)


class NoLedger:
    """A ledger that knows nothing and keeps nothing: Kafka alone. See ``Ledger``."""

    async def find(self, task_id: str, run: str) -> None:
        del task_id, run

    async def record(self, entry: Entry, refused: Record | None = None) -> Entry:
        del refused
        return entry

    def note(self, entry: Entry) -> None:
        """Nothing is kept."""


class Recall:
    """The ledger as a task meets it."""

    def __init__(self, ledger: Ledger, outcomes: Outcomes, *, record_first: bool) -> None:
        """``record_first``: an event is published only as the ledger has it; else it is kept after it is durable."""
        self._ledger = ledger
        self._outcomes = outcomes
        self._record_first = record_first

    async def ask(self, delivery: Delivery, who: Identity, digest: str) -> Finished | None:
        """How this very message ended, FAILED too, or the success of another with its id; None: it is to be done."""
        entry = await self._ledger.find(who.task_id, delivery.run)
        if entry is None:
            return None
        known = entry.digest or digest
        if entry.run != delivery.run:
            return Finished(_ELSEWHERE, known, entry.succeeded, entry.event, None)
        decided = await self._as_kept(delivery, who, entry)
        return Finished(delivery.run_place, known, entry.succeeded, entry.event, decided.outcome.dead_letter)

    async def first(
        self,
        delivery: Delivery,
        who: Identity,
        decided: Decided,
        digest: str,
        refused: Record | None = None,
    ) -> Decided:
        """What may be published: ``decided``, unless another worker's answer of the same run came first.

        ``refused``: the event as it was before it was made smaller.
        """
        entry = _entry(delivery, who, decided, digest)
        if entry is None or not self._record_first:
            return decided
        kept = await self._ledger.record(entry, refused)
        return decided if kept.event == entry.event else await self._as_kept(delivery, who, kept)

    def durable(self, delivery: Delivery, who: Identity, decided: Decided, digest: str) -> None:
        """The outcome is settled."""
        if not self._record_first and (entry := _entry(delivery, who, decided, digest)) is not None:
            self._ledger.note(entry)

    async def _as_kept(self, delivery: Delivery, who: Identity, entry: Entry) -> Decided:
        """The kept event; its dead letter is written again, since a ledger keeps none."""
        terminal = read_terminal(entry.event)
        event = None if terminal is None else read_event(terminal)
        letter = None
        if isinstance(event, Failure):
            letter = (await self._outcomes.failure(delivery, who, event)).outcome.dead_letter
        return Decided(Outcome(entry.event, letter), event)


def _entry(delivery: Delivery, who: Identity, decided: Decided, digest: str) -> Entry | None:
    """None for what ends no run: a retry, or a dead letter alone."""
    outcome = decided.outcome
    if outcome.status is None or outcome.retry is not None or decided.event is None:
        return None
    # The run as the event says it, which is what a reader of the status topic finds there.
    terminal = read_terminal(outcome.status)
    run = delivery.run if terminal is None else terminal.run
    return Entry(who.task_id, run, isinstance(decided.event, Success), outcome.status, digest)
