"""What is said of topics at start."""

from __future__ import annotations

from llm_service.kafka.creation import DEAD_LETTER_ALLOWANCE
from llm_service.kafka.topics import TopicFacts


def facts(tasks: int, dead_letters: int) -> TopicFacts:
    return TopicFacts("tasks", "status", "letters", 1_000_000, dead_letters, tasks)


def test_a_dead_letter_topic_that_can_not_hold_each_task_is_warned_of_with_the_size_it_needs() -> None:
    warning = facts(tasks=1_000_000, dead_letters=1_000_000).warning
    assert warning is not None
    assert "letters" in warning
    assert str(1_000_000 + DEAD_LETTER_ALLOWANCE) in warning


def test_one_that_is_large_enough_or_unknown_is_not() -> None:
    assert facts(tasks=1_000_000, dead_letters=1_000_000 + DEAD_LETTER_ALLOWANCE).warning is None
    assert facts(tasks=0, dead_letters=1_000_000).warning is None
