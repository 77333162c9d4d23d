"""A prompt of the catalogue, made readable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from llm_service.cli.printable import printable, printable_line
from llm_service.prompts.catalogue import Prompt

_HEAD = ("ID", "NAME", "PROVIDER/MODEL", "SCHEMA", "VERDICT")


def prompt_table(prompts: Sequence[Prompt]) -> Table:
    """For a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in _HEAD:
        table.add_column(
            name.capitalize() if name != "ID" else name, justify="right" if name == "ID" else "left"
        )
    for prompt in prompts:
        table.add_row(*(Text(cell) for cell in _cells(prompt)))
    return table


def prompt_lines(prompts: Sequence[Prompt]) -> list[str]:
    """For a pipe: columns apart by tabs, nothing cut."""
    return ["\t".join(cells) for cells in (_HEAD, *map(_cells, prompts))]


def prompt_summary(prompt: Prompt) -> dict[str, object]:
    """A line of the list, for a program."""
    return {
        "id": prompt.id,
        "name": prompt.name,
        "provider": prompt.provider,
        "model": prompt.model,
        "schema": prompt.response_schema is not None,
        "verdict": prompt.verdict.field if prompt.verdict is not None else None,
    }


def prompt_object(prompt: Prompt) -> dict[str, object]:
    """All of it, for a program."""
    verdict = prompt.verdict
    return {
        "id": prompt.id,
        "name": prompt.name,
        "provider": prompt.provider,
        "model": prompt.model,
        "parameters": dict(prompt.parameters),
        "system": prompt.system,
        "user": prompt.user,
        "response_schema": prompt.response_schema,
        "verdict": None
        if verdict is None
        else {
            "field": verdict.field,
            "aliases": list(verdict.aliases),
            "success": list(verdict.success),
            "reason": verdict.reason,
        },
    }


def prompt_text(prompt: Prompt) -> str:
    """All of it, for people."""
    whole = prompt_object(prompt)
    lines = [f"Prompt {prompt.id}: {printable_line(prompt.name)}"]
    lines += [
        f"{name.capitalize()}: {printable_line(_plain(whole[name]))}"
        for name in ("provider", "model", "parameters", "verdict")
        if whole[name]
    ]
    for title, text in (("System", prompt.system), ("User", prompt.user)):
        if text:
            lines += ["", f"{title}:", *_indented(text)]
    if prompt.response_schema is not None:
        lines += ["", "Schema:", *_indented(json.dumps(prompt.response_schema, ensure_ascii=False, indent=2))]
    return "\n".join(lines)


def _cells(prompt: Prompt) -> tuple[str, ...]:
    who = "/".join(filter(None, (prompt.provider, prompt.model)))
    verdict = prompt.verdict.field if prompt.verdict is not None else "no"
    schema = "yes" if prompt.response_schema is not None else "no"
    return tuple(map(printable_line, (str(prompt.id), prompt.name, who or "default", schema, verdict)))


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items() if item not in ([], None))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in printable(text.strip()).split("\n")]
