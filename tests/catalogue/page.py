"""docs/failover.md, made from what the cases left in docs/evidence/failover.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.acceptance.failover import FIRST_BYTE_S, OPEN_S, RETRIES, SILENCE_S, THRESHOLD
from tests.acceptance.worker import ROOT

RECORD = ROOT / "docs" / "evidence" / "failover.json"
PAGE = ROOT / "docs" / "failover.md"

Record = Mapping[str, Any]

# What each case is about and what is wanted of it, by the first words of its test's name.
CASES = MappingProxyType(
    {
        "01": ("429 with Retry-After", "as long as asked is waited, then one more call"),
        "02": ("429 that stays", "waited out, or the second after a bounded number of calls"),
        "03": ("one 500", "one more call; the second is not asked"),
        "04": ("503 that stays", "the second answers"),
        "05": ("reset before the headers", "one more call; where it stays so, the second"),
        "06": ("silence, and a deadline", "the second answers in time; the silent call is ended"),
        "07": ("the first token after 20 s", "it is waited for"),
        "08": ("cut at 40 of 60 chunks", "nothing of half an answer; asked again, or the second"),
        "09": ("30 s of silence in mid-stream", "ended by its clock, asked again"),
        "10": ("a malformed chunk", "asked again; where it stays so, the second"),
        "11": ("no end marker", "asked again; where it stays so, the second"),
        "12": ("context too long", "one call; the second, or FAILED"),
        "13": ("content filter", "FAILED after one call; nobody else is asked"),
        "14": ("the fallback refuses what the first takes", "the first is waited for"),
        "15": ("60 s away with 20 tasks", "all wait, none is lost, nobody hammers"),
        "16": ("out of money", "one call; accounting names who answered"),
    }
)

_HEAD = f"""# The failover catalogue

Made by `./scripts/failover` from [its record](evidence/failover.json); don't edit it by hand.

What a provider may do wrong, each case through Kafka tasks and a real worker process, against two stand-ins of the
OpenAI protocol that really do it ([tests/standins](../tests/standins), their behaviours in `behaviour.py`). The first
provider fails as the case says, the second (`"fallback": ["openrouter"]`, where the list says yes) is well. The cases
and what they assert are [tests/acceptance/test_failover.py](../tests/acceptance/test_failover.py); calls are counted by
the stand-ins' own logs. The worker: `LLM_MAX_RETRIES={RETRIES}`, `CIRCUIT_BREAKER_FAILURE_THRESHOLD={THRESHOLD}`,
`CIRCUIT_BREAKER_TIMEOUT_SEC={OPEN_S}`, the first byte within {FIRST_BYTE_S} s, {SILENCE_S} s between two chunks.
"""


def page(record: Record) -> str:
    """The whole page."""
    around, cases = record["around"], record["cases"]
    passed = sum(case["passed"] for case in cases)
    lines = [
        _HEAD,
        _result(passed, len(cases), around),
        "| | the first provider | list | tasks | ended as | answered by | calls of the first | of the second | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        title, _ = CASES[case["number"]]
        for position, run in enumerate(case["runs"]):
            lines.append(f"| {case['number'] if not position else ''} | {_row(title, run)} |")
    lines += ["", "What is wanted:", ""]
    lines += [f"- {number} {title}: {wanted}." for number, (title, wanted) in CASES.items()]
    return "\n".join(lines) + "\n"


def _result(passed: int, cases: int, around: Mapping[str, str]) -> str:
    """How many held, and when and where."""
    return (
        f"**{passed} of {cases} held** in `{around['command']}`, {around['date']}, commit {around['commit']}, "
        f"{around['machine']}, load {around['load']}.\n"
    )


def _row(title: str, run: Record) -> str:
    told = " ".join(f"{name}={value}" for name, value in run["told"].items())
    cells = (
        f"{title}{f' (`{told}`)' if told else ''}",
        "yes" if run["has_list"] else "",
        str(run["tasks"]),
        ", ".join(run["codes"]),
        ", ".join({"openai": "the first", "openrouter": "the second"}[one] for one in run["answered_by"]),
        str(run["first_calls"]),
        str(run["second_calls"]),
        f"{run['seconds']:.1f}",
    )
    return " | ".join(cells)


def recorded(path: Path = RECORD) -> Record:
    """What the last recorded run found."""
    found: Record = json.loads(path.read_text("utf-8"))
    return found
