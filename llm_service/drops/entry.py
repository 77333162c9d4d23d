"""The rules file's shape: what pydantic holds each rule to."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

# A name goes into a metric's label, log lines and the task's source.
Name = Annotated[str, StringConstraints(pattern=r"^[\w][\w .-]{0,59}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class _Strict(BaseModel):
    """No field is converted, none is ignored: a misspelt key must not silently do nothing."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RuleEntry(_Strict):
    name: Name
    bucket: Text | None = None
    prefix: Text | None = None
    suffix: list[Text] = []
    ignore: bool = False
    task: dict[str, object] = {}

    @field_validator("suffix", mode="before")
    @classmethod
    def _one_or_several(cls, suffix: object) -> object:
        return [suffix] if isinstance(suffix, str) else suffix


class RulesFile(_Strict):
    rules: Annotated[list[RuleEntry], Field(min_length=1, max_length=500)]
