"""File drops, from settings: the rules, and the life of notifications."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from llm_service.container.providers import configured_providers
from llm_service.contract.task import Task
from llm_service.drops.life import DropLife, DropTools
from llm_service.drops.recent import RecentDrops
from llm_service.drops.rule import Buckets
from llm_service.drops.rules import Rules
from llm_service.errors import ServiceError, SettingsInvalid
from llm_service.kafka.topics import TopicFacts
from llm_service.prompts.catalogue import Catalogue
from llm_service.settings import Settings
from llm_service.tasks.plan import PlanDefaults, make_plan
from llm_service.tasks.tools import Tools

# A notification is told again within minutes, by a store that got no answer or a rebalance; some 100 bytes each.
_REMEMBERED = 10_000


def drop_buckets(settings: Settings) -> Buckets:
    """Where files may be dropped, and where this service writes."""
    return Buckets(settings.minio.readable_buckets, settings.minio.bucket_name)


def load_rules(settings: Settings, catalogue: Catalogue, now: datetime) -> Rules:
    """The rules of DROP_RULES_FILE; blocks. Raises SettingsInvalid, which names all that is wrong."""
    path = settings.worker.drop_rules_file
    if path is None:
        raise SettingsInvalid("There are no drop rules: set DROP_RULES_FILE to their file.")
    providers = configured_providers(settings)
    defaults = PlanDefaults(settings.worker.default_prompt_id, providers[0])

    def doubt(task: Task) -> str | None:
        try:
            make_plan(task, catalogue, providers, defaults, now)
        except ServiceError as error:
            return error.message
        return None

    return Rules.load(path, drop_buckets(settings), doubt)


def drop_life(settings: Settings, facts: TopicFacts, tools: Tools, rules: Callable[[], Rules]) -> DropLife:
    """The life of notifications, beside the life of tasks that has these tools."""
    largest = settings.kafka.message_max_bytes
    return DropLife(
        DropTools(
            rules=rules,
            recent=RecentDrops(_REMEMBERED),
            outcomes=tools.outcomes,
            settler=tools.settler,
            task_max_bytes=min(facts.tasks_max_bytes or largest, largest),
            clock=tools.clock,
            observe=tools.observe,
        )
    )
