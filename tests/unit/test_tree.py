"""The tree keeps its shape: small modules and functions, one place that reads the environment, rooms by name."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import median

import llm_service

ROOT = Path(llm_service.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
READS_ENVIRONMENT = {"environ", "getenv", "environb"}


def functions(module: Path) -> list[tuple[str, int]]:
    """Each function with its length in lines, docstring and all."""
    tree = ast.parse(module.read_text("utf-8"))
    return [
        (f"{module.relative_to(ROOT)}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_no_module_is_above_400_lines_and_the_median_is_about_100() -> None:
    lengths = {module: len(module.read_text("utf-8").splitlines()) for module in MODULES}
    assert [str(module) for module, lines in lengths.items() if lines > 400] == []
    assert median(lines for lines in lengths.values() if lines > 5) <= 120


def test_no_function_is_above_60_lines_and_the_median_is_about_10() -> None:
    found = [function for module in MODULES for function in functions(module)]
    assert [name for name, lines in found if lines > 60] == []
    assert median(lines for _, lines in found) <= 12


def test_nothing_but_the_settings_reads_the_environment() -> None:
    readers = {
        module.relative_to(ROOT).parts[0]
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in READS_ENVIRONMENT
    }
    assert readers == {"settings"}


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(module) for module in MODULES if not ast.get_docstring(ast.parse(module.read_text("utf-8")))
    ]
    assert silent == []


def test_no_name_says_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    assert [str(module) for module in MODULES if module.stem in vague or module.parent.name in vague] == []
