"""What is asked for a task, of whom, and what the answer is held to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_service.contract.task import Task, TaskChoice, TaskFile, TaskMessage
from llm_service.errors import InvalidField, PromptUnknown, ProviderUnknown
from llm_service.prompts.catalogue import Catalogue
from llm_service.providers.protocol import Message
from llm_service.tasks.plan import Choice, Plan, PlanDefaults, make_plan
from tests.manual_clock import START

PROMPTS = """
prompts:
  1:
    name: Сводка
    system: Сегодня {{date}}.
    user: "Сделай сводку. Файлы: {{filenames}}. Язык: {{language}}, отдел: {{metadata.отдел}}."
    provider: other
    model: other-1
    fallback: [{provider: model, model: big}, {provider: gone}]
    parameters: {temperature: 0.2, max_tokens: 100}
  2:
    name: Поля
    user: "Текст: {{text}} Данные: {{data}}"
    response_schema: {type: object, required: [a]}
    verdict: {field: Статус}
"""


CONFIGURED = (Choice("other", "configured"),)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    path: Path = tmp_path_factory.mktemp("prompts") / "prompts.yaml"
    path.write_text(PROMPTS, "utf-8")
    return Catalogue.load(path)


def plan(catalogue: Catalogue, *, providers: tuple[str, ...] = ("model", "other"), **task: object) -> Plan:
    asked = Task(task_id="id", trace_id="trace", **task)  # type: ignore[arg-type]
    return make_plan(asked, catalogue, providers, PlanDefaults(2, "model", CONFIGURED), START)


def test_the_catalogues_prompt_with_its_provider_model_and_parameters(catalogue: Catalogue) -> None:
    found = plan(
        catalogue,
        prompt_id=1,
        text="Текст {{date}}",
        files=(TaskFile("bucket/a/Письмо.pdf"), TaskFile("b", "Имя.txt")),
        metadata={"отдел": 7, "language": "ru"},
        parameters={"temperature": 0.9, "top_k": 5, "stop": "КОНЕЦ"},
    )
    assert (found.provider, found.model) == ("other", "other-1")
    assert found.messages == (
        Message("system", "Сегодня 2026-01-01."),
        Message("user", "Сделай сводку. Файлы: Письмо.pdf\nИмя.txt. Язык: ru, отдел: 7."),
    )
    assert [(text.name, text.text) for text in found.texts] == [("text", "Текст {{date}}")]
    parameters = found.parameters
    assert (parameters.temperature, parameters.max_tokens) == (0.9, 100)
    assert (parameters.stop, parameters.extra) == (("КОНЕЦ",), {"top_k": 5})


def test_the_default_prompt_and_provider_and_what_the_template_takes_in(catalogue: Catalogue) -> None:
    found = plan(catalogue, text="{{data}}", data={"ключ": [1]})
    assert (found.provider, found.model) == ("model", None)
    assert (
        found.messages[-1].content
        == f"Текст: {{{{data}}}} Данные: {json.dumps({'ключ': [1]}, ensure_ascii=False, indent=1)}"
    )
    assert found.texts == (), "what stands in the prompt goes along once"
    assert found.schema == {"type": "object", "required": ["a"]}
    assert found.verdict is not None


def test_a_prompt_of_ones_own_is_taken_as_it_is(catalogue: Catalogue) -> None:
    found = plan(catalogue, prompt="Скажи {{text}}", prompt_id=4711, system_prompt="Ты бот", text="привет")
    assert found.messages == (Message("system", "Ты бот"), Message("user", "Скажи {{text}}"))
    assert [text.text for text in found.texts] == ["привет"]
    assert (found.schema, found.verdict, found.model) == (None, None, None)


def test_a_conversation_stands_for_itself_with_one_system_message_in_front(catalogue: Catalogue) -> None:
    turns = (
        TaskMessage("user", "Здравствуй"),
        TaskMessage("system", "Будь краток"),
        TaskMessage("assistant", "Да"),
        TaskMessage("user", "Сколько?"),
    )
    found = plan(catalogue, messages=turns, system_prompt="Ты бот")
    assert [(turn.role, turn.content) for turn in found.messages] == [
        ("system", "Ты бот\n\nБудь краток"),
        ("user", "Здравствуй"),
        ("assistant", "Да"),
        ("user", "Сколько?"),
    ]
    with_prompt = plan(catalogue, messages=turns, prompt_id=1)
    assert with_prompt.messages[-1].content.startswith("Сделай сводку.")


def test_an_unknown_prompt_is_named_with_the_known(catalogue: Catalogue) -> None:
    with pytest.raises(PromptUnknown, match=r"4711.*1, 2"):
        plan(catalogue, prompt_id=4711, text="x")


@pytest.mark.parametrize("name", ["яндекс", "x" * 10_000])
def test_an_unknown_provider_is_named_shortly_with_the_configured(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(ProviderUnknown, match="model, other") as caught:
        plan(catalogue, provider=name, text="x")
    assert len(caught.value.message) < 300


def test_a_prompt_for_a_provider_that_is_not_here_goes_to_the_default_without_its_model(
    catalogue: Catalogue,
) -> None:
    found = plan(catalogue, providers=("model",), prompt_id=1, text="x")
    assert (found.provider, found.model) == ("model", None)
    named = plan(catalogue, prompt_id=1, text="x", provider="model")
    assert (named.provider, named.model) == ("model", None)
    auto = plan(catalogue, prompt_id=1, text="x", provider="auto", model="own")
    assert (auto.provider, auto.model) == ("other", "own")


@pytest.mark.parametrize(
    ("given", "schema"),
    [
        ({"type": "object", "required": ["x"]}, {"type": "object", "required": ["x"]}),
        ({"type": "json_object"}, {"type": "object"}),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}},
            {"type": "array"},
        ),
        ({"type": "json_schema", "json_schema": {"type": "array"}}, {"type": "array"}),
    ],
)
def test_a_schema_is_read_in_every_form_that_is_met(
    catalogue: Catalogue, given: dict[str, object], schema: dict[str, object]
) -> None:
    assert plan(catalogue, text="x", response_format=given).schema == schema


def test_a_schema_that_is_none_is_refused_before_anything_is_spent(catalogue: Catalogue) -> None:
    with pytest.raises(InvalidField, match="response_format"):
        plan(catalogue, text="x", response_format={"type": "Objekt"})


def test_who_names_a_provider_says_who_is_asked_after_it(catalogue: Catalogue) -> None:
    of_prompt = (Choice("model", "big"),)
    assert plan(catalogue, prompt_id=1).fallback == of_prompt, "those that are not configured are left out"
    assert plan(catalogue, prompt_id=2).fallback == CONFIGURED
    assert plan(catalogue, prompt_id=2, provider="auto").fallback == CONFIGURED
    assert plan(catalogue, prompt_id=2, provider="model").fallback == (), "its documents go to nobody else"
    assert plan(catalogue, prompt_id=1, fallback=()).fallback == ()
    own = plan(catalogue, prompt_id=1, fallback=(TaskChoice("other", "m"), TaskChoice("model")))
    assert own.fallback == (Choice("other", "m"), Choice("model"))
    assert own.choices[0] == Choice("other", "other-1")
