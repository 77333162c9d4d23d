"""The catalogue file's shape: what pydantic holds each entry to."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from llm_service.prompts.render import template_problems
from llm_service.prompts.schema import schema_problems
from llm_service.prompts.verdict import SUCCESS_WORDS

_Value = TypeVar("_Value")
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Strict(BaseModel):
    """No field is converted, none is ignored: a misspelt key must not silently do nothing."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class VerdictEntry(_Strict):
    field: Text
    aliases: list[Text] = []
    success: Annotated[list[Text], Field(min_length=1)] = list(SUCCESS_WORDS)
    reason: Text = "Причина"


class ParametersEntry(BaseModel):
    """The parameters every provider knows, checked; any other passes to the vendor by its own name."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: list[str] | str | None = None
    seed: int | None = None


class ChoiceEntry(_Strict):
    provider: Text
    model: Text | None = None


class PromptEntry(_Strict):
    name: Text
    user: Text
    system: Text | None = None
    response_schema: dict[str, Any] | None = None
    verdict: VerdictEntry | None = None
    provider: Text | None = None
    model: Text | None = None
    fallback: list[ChoiceEntry] = []
    parameters: ParametersEntry = ParametersEntry()

    @field_validator("user")
    @classmethod
    def _user_placeholders(cls, user: str) -> str:
        return _sound(user, template_problems(user))

    @field_validator("system")
    @classmethod
    def _system_placeholders(cls, system: str | None) -> str | None:
        return None if system is None else _sound(system, template_problems(system, system=True))

    @field_validator("response_schema")
    @classmethod
    def _schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if schema is None else _sound(schema, list(schema_problems(schema)))

    @model_validator(mode="after")
    def _verdict_is_in_the_schema(self) -> PromptEntry:
        fields = (self.response_schema or {}).get("properties")
        if self.verdict is not None and isinstance(fields, dict) and self.verdict.field not in fields:
            raise ValueError(f"the verdict's field {self.verdict.field!r} is no property of response_schema")
        return self


class CatalogueFile(_Strict):
    prompts: Annotated[dict[Annotated[int, Field(ge=0)], PromptEntry], Field(min_length=1)]


def _sound(value: _Value, problems: list[str]) -> _Value:
    if problems:
        raise ValueError("; ".join(problems))
    return value
