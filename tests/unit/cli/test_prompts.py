from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llm_service.cli.main import main

CATALOGUE = """\
prompts:
  7:
    name: "Акт \\e[31m"
    user: "Fill it in: {text}"
    system: "Be exact."
    provider: gigachat
    model: GigaChat-Max
    parameters: {temperature: 0.5}
    response_schema: {type: object, properties: {Итог: {type: string}}}
    verdict: {field: Итог}
  2:
    name: plain
    user: Sum it up.
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own.yaml").write_text(CATALOGUE, "utf-8")
    (tmp_path / ".env").write_text("PROMPTS_FILE=own.yaml\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROMPTS_FILE", raising=False)
    return tmp_path


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["prompts", *arguments])


@pytest.mark.parametrize("arguments", [(), ("list",)])
def test_the_list_is_of_the_file_in_force_in_the_order_of_its_numbers(
    folder: Path, arguments: tuple[str, ...]
) -> None:
    result = _run(*arguments)
    assert result.exit_code == 0
    assert [line.split("\t") for line in result.stdout.splitlines()] == [
        ["ID", "NAME", "PROVIDER/MODEL", "SCHEMA", "VERDICT"],
        ["2", "plain", "default", "no", "no"],
        ["7", "Акт \\x1b[31m", "gigachat/GigaChat-Max", "yes", "Итог"],
    ]


@pytest.mark.parametrize("arguments", [("--json",), ("list", "--json")])
def test_the_list_is_json_lines_for_programs(folder: Path, arguments: tuple[str, ...]) -> None:
    plain, act = map(json.loads, _run(*arguments).stdout.splitlines())
    assert plain == {
        "id": 2,
        "name": "plain",
        "provider": None,
        "model": None,
        "schema": False,
        "verdict": None,
    }
    assert (act["id"], act["name"], act["schema"], act["verdict"]) == (7, "Акт \x1b[31m", True, "Итог")


def test_a_prompt_is_shown_whole(folder: Path) -> None:
    shown = _run("show", "7").stdout
    assert "Fill it in: {text}" in shown
    assert '"Итог": {' in shown
    assert "Parameters: temperature 0.5" in shown
    assert "\x1b" not in shown
    whole = json.loads(_run("show", "7", "--json").stdout)
    assert whole["user"] == "Fill it in: {text}"
    assert whole["response_schema"] == {"type": "object", "properties": {"Итог": {"type": "string"}}}
    assert whole["verdict"]["field"] == "Итог"


def test_an_unknown_number_is_told_with_the_known_ones(folder: Path) -> None:
    result = _run("show", "3")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "The catalogue has no prompt 3; it has 2, 7.\n"


def test_a_right_catalogue_is_said_to_be(folder: Path) -> None:
    assert _run("check", "own.yaml").stdout == "own.yaml is right: 2 prompts.\n"
    assert json.loads(_run("check", "own.yaml", "--json").stdout) == {"file": "own.yaml", "prompts": [2, 7]}


def test_a_wrong_catalogue_names_file_prompt_and_field(folder: Path) -> None:
    (folder / "wrong.yaml").write_text(CATALOGUE.replace("user: Sum it up.", "usr: Sum it up."), "utf-8")
    result = _run("check", "wrong.yaml")
    assert (result.exit_code, result.stdout) == (78, "")
    assert "The prompt catalogue wrong.yaml is wrong: prompt 2, field user: Field required" in result.stderr


def test_a_catalogue_in_force_that_is_wrong_is_told_too(folder: Path) -> None:
    (folder / "own.yaml").write_text("prompts: [")
    result = _run()
    assert (result.exit_code, result.stdout) == (78, "")
    assert "own.yaml is wrong" in result.stderr
