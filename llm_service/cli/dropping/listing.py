"""Drop rules, made readable."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from llm_service.cli.printable import printable_line
from llm_service.contract.strict_json import dumps_text
from llm_service.drops.rule import Rule

_HEAD = ("RULE", "BUCKET", "PREFIX", "SUFFIX", "TASK")


def rule_table(rules: Sequence[Rule]) -> Table:
    """For a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in _HEAD:
        table.add_column(name.capitalize(), overflow="fold")
    for rule in rules:
        table.add_row(*(Text(cell) for cell in _cells(rule)))
    return table


def rule_lines(rules: Sequence[Rule]) -> list[str]:
    """For a pipe: columns apart by tabs, nothing cut."""
    return ["\t".join(cells) for cells in (_HEAD, *map(_cells, rules))]


def rule_object(rule: Rule) -> dict[str, object]:
    """All of it, for a program."""
    return {
        "name": rule.name,
        "bucket": rule.bucket,
        "prefix": rule.prefix,
        "suffix": list(rule.suffixes),
        "ignore": rule.ignore,
        "task": dict(rule.task),
    }


def _cells(rule: Rule) -> tuple[str, ...]:
    task = "none" if rule.ignore else dumps_text(dict(rule.task)) if rule.task else "defaults"
    cells = (rule.name, rule.bucket or "any", rule.prefix or "any", " ".join(rule.suffixes) or "any", task)
    return tuple(map(printable_line, cells))
