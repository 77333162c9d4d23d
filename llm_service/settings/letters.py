"""Dead letters: how many are so many that the worker stops."""

from __future__ import annotations

from pydantic import Field

from llm_service.settings.group import Group


class LetterSettings(Group):
    """Dead letters."""

    stop_run: int | None = Field(
        default=None,
        validation_alias="DLQ_STOP_RUN",
        ge=0,
        le=1_000_000,
        description="Dead letters in a row after which the worker takes no more tasks until 'llm-service dlq resume' or "
        "a restart; 0: never. Unset: 100, or twice WORKER_MAX_CONCURRENT_TASKS where that is more.",
    )
    stop_share: float = Field(
        # Half: one producer that writes wrong tasks beside one that does not is no reason to stop both.
        default=0.5,
        validation_alias="DLQ_STOP_SHARE",
        ge=0,
        le=1,
        description="Share of dead letters among the last DLQ_STOP_WINDOW outcomes that does the same; 0: never.",
    )
    stop_window: int = Field(
        default=500,
        validation_alias="DLQ_STOP_WINDOW",
        ge=10,
        le=1_000_000,
        description="Outcomes that the share is taken of; none is taken before there are so many.",
    )
