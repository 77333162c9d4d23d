"""The prompts a task can name by id, read from one YAML file and checked whole before any is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from llm_service.errors import PromptCatalogueInvalid, PromptUnknown
from llm_service.prompts.entry import CatalogueFile, PromptEntry, VerdictEntry
from llm_service.prompts.strict_yaml import YamlRefusedError, read_yaml
from llm_service.prompts.verdict import VerdictRule

SHIPPED = Path(__file__).with_name("catalogue.yaml")
_FINDINGS = 20
"""Shown at once: a screenful; a file with more is of another kind altogether."""
_IDS = 30
"""Known ids shown in an error that travels to the status topic."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of the catalogue: what is said to the model and what its answer is held to."""

    id: int
    name: str
    user: str
    system: str | None = None
    response_schema: Mapping[str, object] | None = None
    verdict: VerdictRule | None = None
    provider: str | None = None
    model: str | None = None
    fallback: tuple[tuple[str, str | None], ...] = ()
    """Provider and model of those that are asked where the first can't answer."""
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All prompts of one file; never changed: a reload makes another one."""

    prompts: Mapping[int, Prompt]
    path: Path

    @staticmethod
    def load(path: Path | None = None) -> Catalogue:
        """Read and check a catalogue file; None reads the one that is shipped.

        Blocking: a call takes some tens of milliseconds. Raises PromptCatalogueInvalid naming the file
        and, of each finding, the prompt and the field.
        """
        file = path or SHIPPED
        try:
            value, findings = read_yaml(file)
        except YamlRefusedError as error:
            raise PromptCatalogueInvalid(f"The prompt catalogue {file} is wrong: {error}.") from None
        entries: Mapping[int, PromptEntry] = {}
        try:
            entries = CatalogueFile.model_validate(value).prompts
        except ValidationError as error:
            findings += [_finding(each["loc"], each["msg"]) for each in error.errors(include_url=False)]
        if findings:
            raise PromptCatalogueInvalid(_sentence(file, findings))
        prompts = {prompt_id: _prompt(prompt_id, entry) for prompt_id, entry in entries.items()}
        return Catalogue(MappingProxyType(prompts), file)

    def get(self, prompt_id: int) -> Prompt:
        """The prompt of that id. Raises PromptUnknown naming it and the known ones."""
        prompt = self.prompts.get(prompt_id)
        if prompt is None:
            known = ", ".join(map(str, sorted(self.prompts)[:_IDS]))
            more = ", …" if len(self.prompts) > _IDS else ""
            raise PromptUnknown(f"The catalogue has no prompt {str(prompt_id)[:40]}; it has {known}{more}.")
        return prompt


def _prompt(prompt_id: int, entry: PromptEntry) -> Prompt:
    return Prompt(
        id=prompt_id,
        name=entry.name,
        user=entry.user,
        system=entry.system,
        response_schema=entry.response_schema,
        verdict=None if entry.verdict is None else _rule(entry.verdict),
        provider=entry.provider,
        model=entry.model,
        fallback=tuple((choice.provider, choice.model) for choice in entry.fallback),
        parameters=MappingProxyType(entry.parameters.model_dump(exclude_unset=True)),
    )


def _rule(entry: VerdictEntry) -> VerdictRule:
    return VerdictRule(entry.field, tuple(entry.success), entry.reason, tuple(entry.aliases))


def _finding(loc: tuple[int | str, ...], message: str) -> str:
    """``prompt 3, field verdict.field: …``, without the step ``[key]`` that pydantic adds for itself."""
    steps = [str(step) for step in loc if step != "[key]"]
    said = message.removeprefix("Value error, ")
    if steps[:1] != ["prompts"]:
        return f"field {'.'.join(steps) or '(top)'}: {said}"
    if len(steps) == 1:
        return f"field prompts: {said}"
    if len(steps) == 2:
        return f"prompt {steps[1][:40]}: {said}"
    return f"prompt {steps[1][:40]}, field {'.'.join(steps[2:])[:80]}: {said}"


def _sentence(file: Path, findings: list[str]) -> str:
    shown = "; ".join(findings[:_FINDINGS])
    more = f"; and {len(findings) - _FINDINGS} more" if len(findings) > _FINDINGS else ""
    return f"The prompt catalogue {file} is wrong: {shown}{more}."
