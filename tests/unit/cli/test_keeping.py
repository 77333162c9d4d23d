from __future__ import annotations

import shlex
from pathlib import Path

from llm_service.cli.demonstration.keeping import Keeping

EXAMPLE = Path("/tmp/7b0e/it's a «письмо».txt")


def test_the_command_survives_a_shell_and_ends_in_prompt_and_file() -> None:
    keeping = Keeping(
        "127.0.0.1:1", "tasks_llm", "tasks_llm_status", "documents", Path("/tmp/x/documents"), EXAMPLE, 3
    )
    first, *words = shlex.split(keeping.command())
    assert first == "env"
    assert "STORAGE_FOLDER=/tmp/x" in words
    assert words[-3:] == ["--prompt-id", "3", str(EXAMPLE)]
    assert "\n" not in keeping.command()
