"""A catalogue is whole or refused, and a refusal names everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from llm_service.errors import PromptCatalogueInvalid, PromptUnknown
from llm_service.prompts.answer import check_answer
from llm_service.prompts.catalogue import Catalogue
from llm_service.prompts.render import placeholders
from llm_service.prompts.verdict import VerdictRule


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "prompts.yaml"
    file.write_text(dedent(text), encoding="utf-8")
    return file


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(PromptCatalogueInvalid) as caught:
        Catalogue.load(written(tmp_path, text))
    return caught.value.message


def test_the_shipped_catalogue_has_what_the_readme_promises() -> None:
    catalogue = Catalogue.load()
    assert set(catalogue.prompts) == {1, 2, 3, 4, 5}
    letter = catalogue.get(3)
    assert letter.verdict == VerdictRule("Статус", aliases=("status",))
    assert letter.response_schema is not None
    assert "делопроизводитель" in (letter.system or "")


def test_an_answer_as_the_letter_prompt_asks_for_it_keeps_its_schema() -> None:
    schema = Catalogue.load().get(3).response_schema
    check_answer(
        '{"Отправитель": "а", "Получатель": "б", "Адрес получателя": "в", '
        '"Статус": "Успешно", "Причина": ""}',
        schema,
    )


def test_shipped_prompts_leave_the_document_out_of_the_instructions() -> None:
    for prompt in Catalogue.load().prompts.values():
        assert not placeholders(prompt.user) & {"text", "data"}
        assert prompt.system is not None
        assert not placeholders(prompt.system)


def test_an_unknown_id_is_named_with_the_known_ones() -> None:
    with pytest.raises(PromptUnknown) as caught:
        Catalogue.load().get(99)
    assert "99" in caught.value.message
    assert "1, 2, 3, 4, 5" in caught.value.message


def test_everything_said_of_a_prompt_arrives(tmp_path: Path) -> None:
    catalogue = Catalogue.load(
        written(
            tmp_path,
            """\
            prompts:
              8:
                name: Проверка
                system: Ты проверяешь.
                user: "Проверь {{ filename }} ({{metadata.branch}})"
                response_schema: {type: object, properties: {ok: {type: string}}}
                verdict: {field: ok, success: ["да"], reason: почему, aliases: [okay]}
                provider: ollama
                model: qwen
                parameters: {temperature: 0, max_tokens: 10, stop: [END], top_k: 4}
            """,
        )
    )
    prompt = catalogue.get(8)
    assert (prompt.id, prompt.name, prompt.provider, prompt.model) == (8, "Проверка", "ollama", "qwen")
    assert prompt.verdict == VerdictRule("ok", ("да",), "почему", ("okay",))
    assert dict(prompt.parameters) == {"temperature": 0, "max_tokens": 10, "stop": ["END"], "top_k": 4}


def test_all_findings_are_named_at_once(tmp_path: Path) -> None:
    message = refusal(
        tmp_path,
        """\
        prompts:
          1: {name: a, user: "{{txt}}", colour: red, response_schema: {type: objekt}}
          2: {name: 5, user: hi, verdict: {reason: x}, system: "{{text}}", parameters: {temperature: hot}}
          2: {name: again, user: b}
          x: {name: a, user: b}
          7: {name: a, user: b, verdict: {field: q}, response_schema: {properties: {z: {}}}}
          9: {name: a}
          10: {name: a, user: b, response_schema: {properties: {z: {$ref: "http://localhost/x"}}}}
          11: {name: a, user: "{{ text"}
          12: {name: a, user: b, response_schema: {enum: [2026-01-01]}}
        extra: 1
        """,
    )
    for expected in (
        "prompts.yaml",
        "prompt 1, field user: unknown placeholder {{txt}}",
        "prompt 1, field colour",
        "prompt 1, field response_schema: is no JSON Schema at type",
        "prompt 2, field name",
        "prompt 2, field verdict.field: Field required",
        "prompt 2, field system: unknown placeholder {{text}}",
        "prompt 2, field parameters.temperature",
        "line 4: '2' is said twice",
        "prompt x",
        "prompt 7: the verdict's field 'q' is no property",
        "prompt 9, field user: Field required",
        "prompt 10, field response_schema: refers outside itself",
        "prompt 11, field user: '{{' that begins no placeholder",
        "prompt 12, field response_schema: is not plain JSON",
        "field extra",
    ):
        assert expected in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "field (top)"),
        ("prompts: {}", "field prompts"),
        ("prompts: [", "line "),
        ("a: &a [x, x]\nprompts: *a", "line 2: aliases"),
        ("prompts: !!python/object/apply:os.system ['true']", "python/object"),
        ("? [1, 2]\n: 3", "a key must be plain text"),
        ("[" * 20_000, "nested too deep"),
    ],
    ids=["empty", "no prompt", "broken", "alias", "python tag", "complex key", "deep"],
)
def test_what_is_no_catalogue_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in refusal(tmp_path, text)


def test_aliases_that_multiply_are_refused_before_they_do(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "aliases" in refusal(tmp_path, "\n".join(lines))


def test_a_file_that_is_missing_too_large_or_not_utf8_is_named(tmp_path: Path) -> None:
    with pytest.raises(PromptCatalogueInvalid, match=r"nowhere\.yaml is wrong: it can't be read"):
        Catalogue.load(tmp_path / "nowhere.yaml")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 2_000_000)
    with pytest.raises(PromptCatalogueInvalid, match="more than 1048576 bytes"):
        Catalogue.load(large)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: письмо".encode("cp1251"))
    with pytest.raises(PromptCatalogueInvalid, match="not UTF-8 at byte 6"):
        Catalogue.load(latin)
