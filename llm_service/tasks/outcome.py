"""From how a task ended to the bytes that say so: the terminal event, the dead letter, and what is too large for either."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from llm_service.contract import dead_letter, status
from llm_service.contract.envelope import Identity
from llm_service.contract.record import Record
from llm_service.contract.status import Failure, ResultEncoding, Stamp, Success
from llm_service.errors import FileError, IdConflict, ResultTooLarge, StoreUnavailable, VerdictFailed
from llm_service.resilience.clock import Clock
from llm_service.tasks.ports import Delivery, Outcome, ResultStore
from llm_service.tasks.rounds import Going

# A store that is away keeps a large result waiting; for so long it may be missed after it is back.
_STORE_RETRY_S = 10.0
# What is left of a dead letter when its topic takes less than it said: brokers take 1 MB unless told otherwise, and
# nobody sets a topic below this.
_SMALL_LETTER_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class OutcomePolicy:
    """How outcomes are written; sizes in bytes, as the broker counts a message."""

    worker_id: str
    encoding: ResultEncoding
    status_max_bytes: int
    dead_letter_max_bytes: int


@dataclass(frozen=True, slots=True)
class Decided:
    """An outcome with what it says, for those who listen."""

    outcome: Outcome
    event: Success | Failure | None
    """None when another body came under an id that had succeeded."""
    smallest: bool = False
    """Whether nothing of it can be made smaller."""
    going: Going | None = None
    """Of a task that goes round by the retry topic; ``event`` is then what it would have failed with."""


class Outcomes:
    """Writes outcomes."""

    def __init__(self, policy: OutcomePolicy, store: ResultStore | None, clock: Clock) -> None:
        self._policy = policy
        self._store = store
        self._clock = clock

    def processing(self, delivery: Delivery, who: Identity, event: status.Processing) -> Record:
        return status.encode(event, self._stamp(delivery, who), self._policy.encoding)

    async def success(self, delivery: Delivery, who: Identity, event: Success) -> Decided:
        """The event, with the result in the object store where it is too large for a message.

        FAILED ``result_too_large`` where there is no store. Waits for a store that is away.
        """
        record = status.encode(event, self._stamp(delivery, who), self._policy.encoding)
        if record.size <= self._policy.status_max_bytes:
            return Decided(Outcome(record), event)
        return await self._referring(delivery, who, event, record.size)

    async def failure(self, delivery: Delivery, who: Identity, event: Failure) -> Decided:
        """FAILED, and a dead letter unless the model's verdict is the answer itself."""
        record = status.encode(event, self._stamp(delivery, who), self._policy.encoding)
        if event.code == VerdictFailed.code:
            return Decided(Outcome(record), event)
        return Decided(Outcome(record, await self._letter(delivery, who, event.code, event.message)), event)

    async def dead_letter_only(self, delivery: Delivery, who: Identity, code: str, message: str) -> Outcome:
        """A dead letter alone: what its id was answered stands, or there is no id that anybody waits for."""
        return Outcome(dead_letter=await self._letter(delivery, who, code, message))

    async def smaller(self, delivery: Delivery, who: Identity, decided: Decided) -> Decided:
        """The same outcome in fewer bytes, for a topic that takes less than it said at the start."""
        event, outcome = decided.event, decided.outcome
        if decided.going is not None and isinstance(event, Failure):
            return await self.failure(delivery, who, event)
        if isinstance(event, Success) and event.result_ref is None and outcome.status is not None:
            return await self._referring(delivery, who, event, outcome.status.size)
        if outcome.dead_letter is None:
            return replace(decided, smallest=True)
        error = event if isinstance(event, Failure) else IdConflict()
        letter = await self._letter(delivery, who, error.code, error.message, _SMALL_LETTER_BYTES)
        return Decided(Outcome(outcome.status, letter), event, smallest=True)

    async def _referring(self, delivery: Delivery, who: Identity, event: Success, size: int) -> Decided:
        # A model may answer with half of a surrogate pair, which no UTF-8 holds.
        payload = status.result_text(event.text).encode("utf-8", "replace")
        reference = await self._keep(lambda store: store.put_result(who.task_id, payload))
        if reference is None:
            error = ResultTooLarge(
                f"the result takes {size} bytes, more than the status topic takes, and there is no object store "
                f"that takes it: raise max.message.bytes of the status topic, or configure MinIO with the right to write"
            )
            failure = Failure(error.code, error.message, retryable=False, provider=event.provider)
            return await self.failure(delivery, who, failure)
        referring = replace(event, text="", result_ref=reference)
        record = status.encode(referring, self._stamp(delivery, who), self._policy.encoding)
        return Decided(Outcome(record), referring)

    async def _letter(
        self, delivery: Delivery, who: Identity, code: str, message: str, most: int | None = None
    ) -> Record:
        """A letter of at most ``most`` bytes; the topic's own limit without it."""
        most = most or self._policy.dead_letter_max_bytes
        letter = dead_letter.DeadLetter(
            code, message, delivery.attempt, *delivery.run_place, self._clock.now()
        )
        record = dead_letter.encode(letter, delivery.key, delivery.value, delivery.headers)
        if record.size <= most:
            return record
        reference = await self._keep(lambda store: store.put_letter(who.task_id, delivery.value or b""))
        # Without a store the letter points to where the message lies, for as long as the topic keeps it.
        where = reference or f"kafka://{delivery.run}"
        record = dead_letter.encode_reference(letter, delivery.key, delivery.headers, where)
        if record.size <= most:
            return record
        return dead_letter.encode_remainder(letter, delivery.key, delivery.headers, where, most)

    async def _keep(self, put: Callable[[ResultStore], Awaitable[str]]) -> str | None:
        """The reference; None where there is no store, or it will not take it."""
        if self._store is None:
            return None
        while True:
            try:
                return await put(self._store)
            except StoreUnavailable:
                await self._clock.sleep(_STORE_RETRY_S)
            except FileError:
                return None

    def _stamp(self, delivery: Delivery, who: Identity) -> Stamp:
        return Stamp(
            task_id=who.task_id,
            trace_id=who.trace_id,
            worker_id=self._policy.worker_id,
            timestamp=self._clock.now(),
            attempt=delivery.attempt,
            run=delivery.run,
            traceparent=who.traceparent,
            tracestate=who.tracestate,
        )
