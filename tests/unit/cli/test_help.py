"""What every command owes its reader: help that is quick, whole and ends with examples, and completion."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.main import main

ROOT = Path(__file__).parents[3]
START = "from llm_service.cli.main import main; main(prog_name='llm-service')"
# Each is a tenth of a second or more to import, and of no use to a reader of help.
HEAVY = (
    "aiokafka",
    "asyncpg",
    "confluent_kafka",
    "gigachat",
    "httpx",
    "jsonschema",
    "loguru",
    "minio",
    "prometheus_client",
    "pydantic",
    "starlette",
    "uvicorn",
)
LIMIT_S = 60


def _commands(command: click.Command = main, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command by its words, those of groups too."""
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner, (*words, name))


COMMANDS = list(_commands())


def _command(words: tuple[str, ...]) -> click.Command:
    command: click.Command = main
    for word in words:
        assert isinstance(command, click.Group)
        inner = command.get_command(click.Context(command), word)
        assert inner is not None
        command = inner
    return command


def _shown(words: tuple[str, ...]) -> str:
    with click.Context(
        _command(words), info_name=" ".join(("llm-service", *words)), terminal_width=80
    ) as context:
        return context.command.get_help(context)


def _process(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # PYTHONPATH is how a checkout beside the installed one is tested.
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        env={**kept, "LANG": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LIMIT_S,
        check=False,
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_worked_examples_after_its_options(words: tuple[str, ...]) -> None:
    _, *after = re.split(r"\n *Examples:\n", _shown(words))
    assert after, "no examples"
    assert "Options:" not in after[0]
    examples = [line for line in after[0].splitlines() if re.search(r"\bllm-service\b", line)]
    assert len(examples) >= 1
    # Of the command itself: 'llm-service topics create', not only of its parents.
    assert any(" ".join(("llm-service", *words)) in line for line in examples)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_line_of_help_fits_a_terminal(words: tuple[str, ...]) -> None:
    assert max(map(len, _shown(words).splitlines())) <= 105


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_is_explained(words: tuple[str, ...]) -> None:
    command = _command(words)
    options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    assert [option.opts for option in options if not (option.help or "").strip()] == []
    assert command.get_short_help_str(), "no sentence for the list of commands"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    """What makes it answer in a fifth of a second, without a clock on a busy machine."""
    code = (
        "import sys\n"
        "from llm_service.cli.main import main\n"
        "try:\n"
        "    main(prog_name='llm-service')\n"
        "finally:\n"
        f"    print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    )
    done = _process(code, *words, "--help")
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert "Usage: llm-service" in done.stdout


@pytest.mark.parametrize(
    "words", [("submitt",), ("watch", "--follow"), ("prompts", "show"), ("prompts", "edit")]
)
def test_a_wrong_command_line_is_told_on_stderr(words: tuple[str, ...]) -> None:
    done = _process(START, *words)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert "Error: " in done.stderr


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("llm-service ", {words[0] for words in COMMANDS if words}),
        ("llm-service su", {"submit"}),
        ("llm-service submit --prompt", {"--prompt", "--prompt-id"}),
        ("llm-service watch --", {"--from", "--timeout", "--json", "--env-file", "--help"}),
        ("llm-service prompts ", {"list", "show", "check"}),
    ],
)
def test_the_shell_completes_commands_and_options(typed: str, offered: set[str]) -> None:
    done = _process(
        START,
        _LLM_SERVICE_COMPLETE="bash_complete",
        COMP_WORDS=typed,
        COMP_CWORD=str(len(typed.split(" ")) - 1),
    )
    assert done.returncode == 0, done.stderr
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == offered


def test_files_are_completed_by_the_shell_itself() -> None:
    done = _process(
        START,
        _LLM_SERVICE_COMPLETE="bash_complete",
        COMP_WORDS="llm-service submit lett",
        COMP_CWORD="2",
    )
    assert done.stdout == "file,lett\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_sourced(shell: str) -> None:
    done = _process(START, _LLM_SERVICE_COMPLETE=f"{shell}_source")
    # click asks bash for its version, which is not everywhere.
    assert done.returncode == 0, done.stderr
    assert "_LLM_SERVICE_COMPLETE" in done.stdout


def test_each_exit_code_has_its_row_in_the_readme() -> None:
    rows = re.findall(r"^\|\s*`?(\d+)`?\s*\|\s*\S", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert {str(code.value) for code in ExitCode} <= set(rows)
