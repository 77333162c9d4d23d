"""What every group of settings is made of.

A field carries its environment names as ``validation_alias`` (the first is the one that is shown), its bounds,
and one sentence with its unit as ``description``; messages, ``.env.example`` and the docs are made from these.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Annotated, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from llm_service.settings.problem import Problem

LENIENT = {"lenient": True}
"""Context of a validation that leaves conflicts alone: the caller asks for them, to name all that is wrong at once."""


class Group(BaseModel):
    """Settings that belong together; never changed once made. Conflicting ones raise pydantic's ValidationError."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        # Code and tests use the field's own name; only ``load`` knows the environment's.
        validate_by_name=True,
        validate_by_alias=True,
        loc_by_alias=False,
        str_strip_whitespace=True,
    )

    def conflicts(self, wrong: Set[str] = frozenset()) -> Iterator[Problem]:
        """What is each right and wrong together.

        ``wrong``: fields that were given a wrong value and have their default here, so that what such a value asks
        for can be named beside it.
        """
        return iter(())

    @model_validator(mode="after")
    def _agree(self, info: ValidationInfo) -> Self:
        if info.context != LENIENT:
            refuse(self.conflicts())
        return self


def refuse(problems: Iterator[Problem]) -> None:
    """Raise one error for all of them, when there are any."""
    if found := [f"{', '.join(problem.names)}: {problem.reason}" for problem in problems]:
        raise PydanticCustomError("settings_conflict", "{reason}", {"reason": "; ".join(found)})


def wrong_value(reason: str) -> PydanticCustomError:
    """For a validator: the value is wrong for this reason, which is shown as it is."""
    return PydanticCustomError("settings_value", "{reason}", {"reason": reason})


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _comma_list(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


Lowered = BeforeValidator(_lower)
"""Words that are read in any case and kept in lower case."""

Uppered = BeforeValidator(_upper)
"""Words that are read in any case and kept in upper case."""

CommaList: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_comma_list)]
"""``a, b`` is two values."""
