"""The life of one notification: from a delivery to the tasks that it becomes, settled with it in one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llm_service import events
from llm_service.contract.envelope import Envelope, Identity
from llm_service.contract.notification import Drop, Notification, parse_notification
from llm_service.contract.record import Record
from llm_service.contract.status import Failure
from llm_service.drops.recent import RecentDrops
from llm_service.drops.rule import Rule
from llm_service.drops.rules import Rules
from llm_service.drops.task import drop_id, task_record
from llm_service.errors import DeliveryRevoked, InvalidNotification, MessageTooLarge, Poison, ServiceError
from llm_service.resilience.clock import Clock
from llm_service.tasks.course import Course, Stage
from llm_service.tasks.outcome import Decided, Outcomes
from llm_service.tasks.ports import Delivery, Outcome, Settler

# Between two tries to publish what its topic does not take even at its smallest: an operator's time.
_TOO_LARGE_RETRY_S = 10.0
# Of a notification's faults: what a dead letter has room for.
_FAULTS = 5


@dataclass(frozen=True, slots=True)
class DropTools:
    """All that the life of a notification works with."""

    rules: Callable[[], Rules]
    recent: RecentDrops
    outcomes: Outcomes
    settler: Settler
    task_max_bytes: int
    """Largest message that the tasks topic takes."""
    clock: Clock
    observe: events.Observer


@dataclass(frozen=True, slots=True)
class _Case:
    course: Course
    who: Identity
    ref: events.TaskRef

    @property
    def delivery(self) -> Delivery:
        return self.course.delivery


@dataclass(frozen=True, slots=True)
class _Made:
    """A drop that a rule makes a task of."""

    drop: Drop
    rule: Rule
    drop_id: str
    record: Record


class DropLife:
    """Lives notifications."""

    def __init__(self, tools: DropTools) -> None:
        self._tools = tools

    async def live(self, course: Course) -> None:
        """Bring one notification to its settled outcome.

        Cancelled, or revoked while settling, it gives the delivery back.
        """
        delivery = course.delivery
        envelope = Envelope(delivery.key, delivery.value, delivery.headers, *delivery.place)
        who = envelope.identity()
        case = _Case(course, who, events.TaskRef(who.task_id, who.trace_id, *delivery.place))
        done = False
        try:
            await self._route(case)
            done = True
        except DeliveryRevoked:
            self._tools.observe(events.OutcomeDropped(case.ref))
        finally:
            if not done:
                self._tools.settler.release(delivery)
                self._tools.observe(events.TaskReleased(case.ref, course.stage.name.lower()))

    async def _route(self, case: _Case) -> None:
        try:
            if case.delivery.is_poisoned:
                raise Poison
            notification = parse_notification(case.delivery.value)
        except (InvalidNotification, Poison) as error:
            await self._refuse(case, error)
            return
        skipped = [events.DropSkipped(*case.delivery.place, "other_event") for _ in notification.others]
        made = self._made(case, notification, skipped)
        await self._tools.recent.free([each.drop_id for each in made])
        new: dict[str, _Made] = {}
        for each in made:
            if each.drop_id in self._tools.recent or each.drop_id in new:
                skipped.append(events.DropSkipped(*case.delivery.place, "repeated"))
            else:
                new[each.drop_id] = each
        with self._tools.recent.claim(list(new)):
            await self._settle(case, list(new.values()), notification)
        for event in skipped:
            self._tools.observe(event)

    def _made(
        self, case: _Case, notification: Notification, skipped: list[events.DropSkipped]
    ) -> list[_Made]:
        rules, place = self._tools.rules(), case.delivery.place
        where = "/".join(map(str, place))
        made: list[_Made] = []
        for drop in notification.drops:
            rule = rules.match(drop)
            if rule is not None and not rule.ignore:
                made.append(_Made(drop, rule, drop_id(drop, where), task_record(drop, rule, where)))
            elif rule is not None:
                skipped.append(events.DropSkipped(*place, "ignored", drop.bucket, drop.key))
            elif rules.buckets.holds_own(drop.bucket, drop.key):
                skipped.append(events.DropSkipped(*place, "own_object", drop.bucket, drop.key))
            else:
                skipped.append(events.DropSkipped(*place, "unmatched", drop.bucket, drop.key))
        return made

    # --- settling -------------------------------------------------------------------------------

    async def _settle(self, case: _Case, made: list[_Made], notification: Notification) -> None:
        """All of it in one step: the tasks, and a letter for what of the notification can't become one."""
        fits = [each for each in made if each.record.size <= self._tools.task_max_bytes]
        faults = [
            *notification.faults,
            *(f"the task of rule {each.rule.name} is too large" for each in made if each not in fits),
        ]
        error = InvalidNotification(f"{'; '.join(faults[:_FAULTS])}.") if faults else None
        letter = await self._letter(case, error) if error is not None else Outcome()
        outcome = Outcome(dead_letter=letter.dead_letter, tasks=tuple(each.record for each in fits))
        case.course.stage = Stage.DECIDED
        try:
            await self._tools.settler.settle(case.delivery, outcome)
        except MessageTooLarge as too_large:
            # The topic takes less than it said at the start.
            await self._refuse(case, too_large)
            return
        self._tools.recent.remember(each.drop_id for each in fits)
        for each in fits:
            self._tools.observe(
                events.DropBecameTask(
                    *case.delivery.place, each.drop_id, each.rule.name, each.drop.bucket, each.drop.key
                )
            )
        if error is not None:
            self._told_refused(case, error)

    async def _refuse(self, case: _Case, error: ServiceError) -> None:
        """A letter alone, in the form that its topic takes."""
        letter = await self._letter(case, error)
        decided = Decided(letter, Failure(error.code, error.message, retryable=False))
        case.course.stage = Stage.DECIDED
        while True:
            try:
                await self._tools.settler.settle(case.delivery, decided.outcome)
                break
            except MessageTooLarge as too_large:
                self._tools.observe(events.Trouble("kafka", too_large.message))
            if decided.smallest:
                await self._tools.clock.sleep(_TOO_LARGE_RETRY_S)
            else:
                decided = await self._tools.outcomes.smaller(case.delivery, case.who, decided)
        self._told_refused(case, error)

    async def _letter(self, case: _Case, error: ServiceError) -> Outcome:
        return await self._tools.outcomes.dead_letter_only(case.delivery, case.who, error.code, error.message)

    def _told_refused(self, case: _Case, error: ServiceError) -> None:
        self._tools.observe(events.DropRefused(*case.delivery.place, error.code, error.message))
