"""What every group of settings is made of.

A field carries its environment names as ``validation_alias`` (the first is the one that is shown), its bounds,
and one sentence with its unit as ``description``; messages, ``.env.example`` and the docs are made from these.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

CONFLICT = "settings_conflict"


class Group(BaseModel):
    """A group of settings that belong together; never changed once made."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        # Code and tests use the field's own name; only ``load`` knows the environment's.
        validate_by_name=True,
        validate_by_alias=True,
        loc_by_alias=False,
        str_strip_whitespace=True,
    )


def conflict(*names: str, reason: str) -> PydanticCustomError:
    """The error for settings that are each right and wrong together; ``names`` as the environment has them."""
    return PydanticCustomError(CONFLICT, "{reason}", {"names": names, "reason": reason})


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
