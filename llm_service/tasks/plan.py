"""What is to be asked for a task, of whom, and what the answer is held to: decided before any work is done."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from llm_service.contract.task import Task
from llm_service.errors import InvalidField, ProviderUnknown
from llm_service.prompts.catalogue import Catalogue, Prompt
from llm_service.prompts.render import placeholders, render
from llm_service.prompts.schema import schema_problems
from llm_service.prompts.verdict import VerdictRule
from llm_service.providers.protocol import Document, JsonObject, Message, Parameters, Role

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Choice:
    """A provider, and a model of it; None is its default."""

    provider: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class PlanDefaults:
    """What a task gets that does not say otherwise."""

    prompt_id: int
    provider: str
    fallback: tuple[Choice, ...] = ()
    """For tasks that leave the provider to the configuration."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The request without its files."""

    provider: str
    model: str | None
    messages: tuple[Message, ...]
    texts: tuple[Document, ...]
    """The task's own text and data, where the prompt's template does not take them in."""
    parameters: Parameters
    schema: JsonObject | None
    grammar: str | None
    verdict: VerdictRule | None
    fallback: tuple[Choice, ...] = ()
    """Who is asked, in this order, where the first can't answer."""

    @property
    def choices(self) -> tuple[Choice, ...]:
        """All that may answer, the first one first."""
        return Choice(self.provider, self.model), *self.fallback

    def by(self, choice: Choice) -> Plan:
        """The same asked of another."""
        return replace(self, provider=choice.provider, model=choice.model)


def make_plan(
    task: Task, catalogue: Catalogue, providers: Collection[str], defaults: PlanDefaults, now: datetime
) -> Plan:
    """Raises PromptUnknown, ProviderUnknown, InvalidField (a schema that is none)."""
    prompt = _prompt(task, catalogue, defaults)
    provider = _provider(task, prompt, providers, defaults)
    template = task.prompt or (prompt.user if prompt is not None else "")
    used = placeholders(template) if task.prompt is None else frozenset[str]()
    user = render(template, _values(task, now)) if used else template
    return Plan(
        provider=provider,
        model=task.model or _prompt_model(prompt, provider),
        messages=_messages(task, prompt, user, now),
        texts=_texts(task, used),
        parameters=_parameters({**(prompt.parameters if prompt else {}), **task.parameters}),
        schema=_schema(task, prompt),
        grammar=task.grammar,
        verdict=prompt.verdict if prompt is not None else None,
        fallback=_fallback(task, prompt, provider, providers, defaults),
    )


def _prompt(task: Task, catalogue: Catalogue, defaults: PlanDefaults) -> Prompt | None:
    """The catalogue's prompt; None when the task brings its own words, as a prompt or as a conversation."""
    if task.prompt is not None or (task.messages and task.prompt_id is None):
        return None
    return catalogue.get(task.prompt_id if task.prompt_id is not None else defaults.prompt_id)


def _provider(task: Task, prompt: Prompt | None, providers: Collection[str], defaults: PlanDefaults) -> str:
    if task.provider is not None and task.provider != AUTO:
        return _known(task.provider, providers)
    if prompt is not None and prompt.provider in providers and prompt.provider is not None:
        return prompt.provider
    return defaults.provider


def _fallback(
    task: Task, prompt: Prompt | None, first: str, providers: Collection[str], defaults: PlanDefaults
) -> tuple[Choice, ...]:
    """The task's own list; without one, that of whoever named the provider.

    A task or prompt that names a provider and no list means that one: its documents go to nobody else. A name of the
    task's that is not configured is refused; one of the catalogue's is left out, as it is for the first.
    """
    if task.fallback is not None:
        return tuple(Choice(_known(choice.provider, providers), choice.model) for choice in task.fallback)
    if task.provider not in (None, AUTO):
        return ()
    if prompt is not None and (prompt.fallback or prompt.provider == first):
        return tuple(Choice(name, model) for name, model in prompt.fallback if name in providers)
    return defaults.fallback


def _known(provider: str, providers: Collection[str]) -> str:
    if provider in providers:
        return provider
    known = ", ".join(sorted(providers))
    raise ProviderUnknown(f"the provider {provider[:60]!r} is not configured here; configured are: {known}")


def _prompt_model(prompt: Prompt | None, provider: str) -> str | None:
    """The prompt's model, unless it was meant for another provider than the one that answers."""
    if prompt is None or prompt.provider not in (None, provider):
        return None
    return prompt.model


def _messages(task: Task, prompt: Prompt | None, user: str, now: datetime) -> tuple[Message, ...]:
    """The system message is first and single, as GigaChat demands of all."""
    own = task.system_prompt
    if own is None and prompt is not None and prompt.system is not None:
        own = render(prompt.system, {"date": f"{now:%Y-%m-%d}"})
    turns = [(turn.role, turn.content) for turn in task.messages]
    system = [text for text in (own, *(content for role, content in turns if role == "system")) if text]
    messages = [Message("system", "\n\n".join(system))] if system else []
    messages += [Message(_role(role), content) for role, content in turns if role != "system"]
    if user:
        messages.append(Message("user", user))
    return tuple(messages)


def _role(role: str) -> Role:
    return "assistant" if role == "assistant" else "user"


def _texts(task: Task, used: Collection[str]) -> tuple[Document, ...]:
    documents = []
    if task.text and "text" not in used:
        documents.append(Document("text", "text/plain", text=task.text, size=len(task.text)))
    if task.data is not None and "data" not in used:
        text = _data(task)
        documents.append(Document("data", "application/json", text=text, size=len(text)))
    return tuple(documents)


def _values(task: Task, now: datetime) -> dict[str, str]:
    names = [_file_name(task, index) for index in range(len(task.files))]
    metadata = {f"metadata.{key}": _plain(value) for key, value in task.metadata.items()}
    return metadata | {
        "text": task.text or "",
        "data": _data(task) if task.data is not None else "",
        "filename": names[0] if names else "",
        "filenames": "\n".join(names),
        "task_type": task.task_type or "",
        "task_id": task.task_id,
        "date": f"{now:%Y-%m-%d}",
        "language": _plain(task.metadata.get("language", "")),
    }


def _file_name(task: Task, index: int) -> str:
    file = task.files[index]
    return file.name or file.path.rstrip("/").rpartition("/")[2]


def _data(task: Task) -> str:
    return task.data if isinstance(task.data, str) else json.dumps(task.data, ensure_ascii=False, indent=1)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parameters(raw: Mapping[str, object]) -> Parameters:
    """The known ones were type-checked where the task or the catalogue was read; the rest is the vendor's."""
    rest = dict(raw)
    stop = rest.pop("stop", None)
    temperature, top_p = rest.pop("temperature", None), rest.pop("top_p", None)
    max_tokens, seed = rest.pop("max_tokens", None), rest.pop("seed", None)
    return Parameters(
        temperature=float(temperature) if isinstance(temperature, int | float) else None,
        top_p=float(top_p) if isinstance(top_p, int | float) else None,
        max_tokens=max_tokens if isinstance(max_tokens, int) else None,
        stop=(stop,) if isinstance(stop, str) else tuple(stop) if isinstance(stop, list | tuple) else (),
        seed=seed if isinstance(seed, int) else None,
        extra=rest,
    )


def _schema(task: Task, prompt: Prompt | None) -> JsonObject | None:
    """The task's schema, else the prompt's. OpenAI's wrapped form is read as the schema inside it."""
    if task.response_format is None:
        return prompt.response_schema if prompt is not None else None
    schema: JsonObject = task.response_format
    wrapped = schema.get("json_schema")
    if schema.get("type") == "json_schema" and isinstance(wrapped, dict):
        inner = wrapped.get("schema", wrapped)
        schema = {} if inner is True else inner
    elif schema.get("type") == "json_object":
        schema = {"type": "object"}
    problems = schema_problems(schema)
    if problems:
        raise InvalidField(f"Field 'response_format' is no usable JSON Schema: {'; '.join(problems[:3])}.")
    return schema
