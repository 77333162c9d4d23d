"""What the life of a task works with, and one delivery as it is known in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llm_service import events
from llm_service.contract.envelope import Identity
from llm_service.prompts.catalogue import Catalogue
from llm_service.providers.guard import Guard
from llm_service.resilience.clock import Clock
from llm_service.tasks.allowance import TaskLimits
from llm_service.tasks.course import Course
from llm_service.tasks.outcome import Outcomes
from llm_service.tasks.plan import PlanDefaults
from llm_service.tasks.pool import WorkerPool
from llm_service.tasks.ports import Delivery, Settler, StatusSink
from llm_service.tasks.recall import Recall
from llm_service.tasks.rounds import Rounds
from llm_service.tasks.waiting_room import WaitingRoom
from llm_service.tasks.window import DedupWindow
from llm_service.tasks.work import Work


@dataclass(frozen=True, slots=True)
class Tools:
    """All that the life of a task works with."""

    window: DedupWindow
    recall: Recall
    pool: WorkerPool
    work: Work
    outcomes: Outcomes
    settler: Settler
    progress: StatusSink
    guards: Mapping[str, Guard]
    catalogue: Callable[[], Catalogue]
    defaults: PlanDefaults
    rounds: Rounds
    room: WaitingRoom
    clock: Clock
    observe: events.Observer
    limits: TaskLimits


@dataclass(frozen=True, slots=True)
class Case:
    """One delivery with who it is."""

    delivery: Delivery
    who: Identity
    ref: events.TaskRef
    course: Course
