"""How far a delivery has come, so that a stop or a revoke knows what may be cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto

from llm_service.contract.status import Altered, Tried
from llm_service.tasks.ports import Delivery


class Stage(Enum):
    """Up to DECIDED a delivery can be given back and nothing was said that would be contradicted."""

    WAITING = auto()
    """For the first of its id, for a slot, or for a provider that is not there."""
    WORKING = auto()
    DECIDED = auto()
    """The outcome is final and being settled."""


class Course:
    """The stage of one delivery; the life of the task moves it."""

    __slots__ = ("altered", "delivery", "has_spent", "spent", "stage", "tried")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.stage = Stage.WAITING
        self.has_spent = False
        """Whether a call was made for it that may have cost something."""

        self.spent = delivery.spent
        """What its answered calls have taken, those of earlier attempts included."""

        self.tried: list[Tried] = []
        """The providers that were asked for it, in their order."""

        self.altered: tuple[Altered, ...] = ()
        """The documents that the last of them did not get as they came."""

    def tell(self, altered: Sequence[Altered]) -> None:
        self.altered = tuple(altered)

    def spend(self) -> None:
        self.has_spent = True

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """WAITING inside, whatever it was before."""
        before, self.stage = self.stage, Stage.WAITING
        try:
            yield
        finally:
            self.stage = before
