"""What ``./scripts/mutate --record`` has found so far, module by module: a run that was broken off goes on where it was."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.mutation.module import MODULES, Module
from scripts.mutation.page import page
from scripts.mutation.run import ROOT

RECORD = ROOT / "docs" / "evidence" / "mutation.json"
PAGE = ROOT / "docs" / "mutation.md"

Row = Mapping[str, Any]


def read(path: Path = RECORD) -> dict[str, Row]:
    """By module; nothing where there is no record. Raises ValueError where the file is none."""
    if not path.exists():
        return {}
    return {row["module"]: row for row in json.loads(path.read_text("utf-8"))}


def keep(row: Row) -> None:
    """In place of the module's row, and the page with it."""
    rows = read() | {row["module"]: row}
    write([rows[name] for name in MODULES if name in rows])


def write(rows: list[Row]) -> None:
    RECORD.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", "utf-8")
    PAGE.write_text(page(rows), "utf-8")


def is_current(row: Row | None, module: Module) -> bool:
    """Whether the module and its tests are those that the row is about."""
    if row is None:
        return False
    command = ["git", "-C", str(ROOT), "diff", "--quiet", row["commit"], "--", module.path, *module.tests]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
