from __future__ import annotations

import ast
import shlex
from pathlib import Path

from llm_service.cli.demonstration.keeping import Keeping

PATH = "documents/7b0e/it's a «письмо».txt"


def test_the_command_survives_a_shell_and_ends_in_file_and_prompt() -> None:
    keeping = Keeping("127.0.0.1:1", "tasks_llm", "tasks_llm_status", "documents", Path("/tmp/x"), PATH, 3)
    _, option, code, path, prompt = shlex.split(keeping.command())
    assert (option, path, prompt) == ("-c", PATH, "3")
    ast.parse(code)
    assert "\n" not in keeping.command()
