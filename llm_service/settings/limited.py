"""What the settings of every provider share: the limits of its account, and how much of them is this worker's."""

from __future__ import annotations

from pydantic import AliasGenerator, ConfigDict, Field

from llm_service.settings.group import Group


def named(prefix: str) -> ConfigDict:
    """Each field without a name of its own is read from the one that the prefix makes of it."""
    return ConfigDict(
        alias_generator=AliasGenerator(validation_alias=lambda field: f"{prefix}_{field.upper()}")
    )


class LimitedSettings(Group):
    """Limits of a provider's account."""

    requests_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=10_000_000,
        description="Requests a minute that the account has, for each model; unset: what the answers' headers say, if any.",
    )
    tokens_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=10_000_000_000,
        description="Tokens a minute that the account has, of prompts and answers together, for each model; unset: what "
        "the answers' headers say, if any.",
    )
    limit_share: float = Field(
        default=1.0,
        ge=0.001,
        le=1,
        description="This worker's share of the account's minute: with four workers of one account, 0.25.",
    )


LIMITS = frozenset(LimitedSettings.model_fields)
"""Their names; they are shown behind a provider's own."""
