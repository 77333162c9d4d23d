"""Putting an outcome where it stays, in the form that its topics take."""

from __future__ import annotations

from llm_service import events
from llm_service.errors import MessageTooLarge
from llm_service.tasks.course import Stage
from llm_service.tasks.ending import settled
from llm_service.tasks.outcome import Decided
from llm_service.tasks.tools import Case, Tools

# Between two tries to publish what its topic does not take even at its smallest: an operator's time.
_TOO_LARGE_RETRY_S = 10.0


class Placing:
    """Settles what was decided."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def settle(self, case: Case, decided: Decided, digest: str | None = None) -> Decided:
        """Settle what is told of here for the first time; what was settled in the end.

        ``digest`` is that of a message whose run ends by it.
        """
        case.course.stage = Stage.DECIDED
        began = self._tools.clock.monotonic()
        decided = await self.place(case, decided, digest)
        now = self._tools.clock.monotonic()
        self._tools.observe(events.StageFinished(case.ref, "settle", now - began))
        self._tools.observe(settled(case.ref, case.delivery, decided, now - case.delivery.received_at))
        return decided

    async def place(self, case: Case, decided: Decided, digest: str | None = None) -> Decided:
        """Settle it in the form that its topics take. Raises DeliveryRevoked."""
        recall = self._tools.recall
        while True:
            try:
                await self._tools.settler.settle(case.delivery, decided.outcome)
            except MessageTooLarge as error:
                self._tools.observe(events.Trouble("kafka", error.message))
            else:
                if digest is not None:
                    recall.durable(case.delivery, case.who, decided, digest)
                return decided
            if decided.smallest:
                # As with a topic that can't be written: somebody will set it right, and nothing is lost.
                await self._tools.clock.sleep(_TOO_LARGE_RETRY_S)
            else:
                refused = decided.outcome.status
                decided = await self._tools.outcomes.smaller(case.delivery, case.who, decided)
                if digest is not None:
                    decided = await recall.first(case.delivery, case.who, decided, digest, refused)
