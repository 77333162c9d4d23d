"""How a stand-in behaves towards one request: by rules from the control endpoint, or by directives in the text.

A directive is ``[[standin:delay=1.0]]``, ``[[standin:status=500,times=2]]``, ``[[standin:cut]]`` and so on, with the
names of ``Behaviour``'s fields. ``answer`` takes all up to the closing brackets, ``answer64`` the same in Base64; in an
answer ``{nonce}`` and ``{marker}`` are filled in. A task is marked by ``[[task:ANY-ID]]``.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

DIRECTIVE = re.compile(r"\[\[standin:(.*?)\]\]", re.DOTALL)
MARKER = re.compile(r"\[\[task:([^\]\s]+)\]\]")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Seconds, counts and switches; the default answers as the vendor would."""

    delay: float = 0.0
    """Before the first byte."""
    status: int = 0
    """Refuse with this HTTP status."""
    retry_after: str = ""
    code: str = ""
    """The vendor's word for the refusal, in its error's body."""
    reset: bool = False
    """Close the connection before a byte of the answer."""
    leak: bool = False
    """Echo the Authorization header in the body of a refusal, as careless gateways do."""
    silence: float = 0.0
    """Send nothing at all for so long, then close."""
    stall: float = 0.0
    """Send some chunks, then nothing for so long, then close."""
    drip: float = 0.0
    """Send the answer byte by byte, with this wait between two."""
    cut: bool = False
    """Break the connection off after some chunks."""
    after: int = 1
    """So many chunks come before a stall or a cut."""
    noend: bool = False
    """End the answer properly for HTTP, but without its last chunk."""
    badjson: bool = False
    badtype: bool = False
    nochoices: bool = False
    error: bool = False
    """An error inside the stream, after one chunk, under HTTP 200."""
    compressed: bool = False
    """Answer with a small gzip body that unpacks to 64 MB."""
    big: int = 0
    """Answer with so many characters."""
    flood: int = 0
    """Send a line of so many MB that never ends."""
    finish: str = ""
    answer: str = ""
    chunks: int = 2
    gap: float = 0.0
    """Between two chunks."""
    echo: bool = False
    """Answer with the prompt."""
    nousage: bool = False

    @staticmethod
    def of(values: Mapping[str, object]) -> Behaviour:
        """From names and values. Raises ValueError for a name that is none."""
        kinds = {field.name: field.type for field in fields(Behaviour)}
        if unknown := sorted(values.keys() - kinds.keys()):
            raise ValueError(f"no such behaviour: {', '.join(unknown)}")
        typed: dict[str, Any] = {name: _typed(str(kinds[name]), value) for name, value in values.items()}
        return Behaviour(**typed)


def _typed(kind: str, value: object) -> object:
    if kind == "bool":
        return value in {True, "", "1", "true"}
    return {"float": float, "int": int, "str": str}[kind](str(value))


def directive(**values: object) -> str:
    """The text that makes the stand-in behave so; for generators of tasks."""
    answer = values.get("answer")
    if isinstance(answer, str):
        others = {name: value for name, value in values.items() if name != "answer"}
        code = base64.b64encode(answer.encode()).decode().rstrip("=")
        return f"[[standin:answer64={code}]]" + (directive(**others) if others else "")
    return "[[standin:" + ",".join(_item(name, value) for name, value in values.items()) + "]]"


def _item(name: str, value: object) -> str:
    return name if value is True else f"{name}={value}"


def _parsed(text: str) -> dict[str, object]:
    name, _, value = text.partition("=")
    if name == "answer":
        return {"answer": value}
    if name == "answer64":
        return {"answer": base64.b64decode(value + "=" * (-len(value) % 4)).decode()}
    pairs = (item.partition("=") for item in text.split(","))
    return {name.strip(): value.strip() for name, _, value in pairs}


@dataclass(slots=True)
class Rule:
    """One instruction of the control endpoint: for requests of a kind whose text holds ``match`` (* for all)."""

    kind: str
    match: str
    values: dict[str, object]
    left: int | None


class Behaviours:
    """All rules, and how often each directive that has a number of times was followed."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._followed: Counter[str] = Counter()

    def add(self, instruction: Mapping[str, object]) -> None:
        """Raises ValueError for an instruction that can't be followed."""
        values = dict(instruction)
        fault = values.pop("fault", None)
        if isinstance(fault, str) and fault not in values:
            values[fault] = True
        times = values.pop("times", None)
        rule = Rule(
            str(values.pop("kind", "chat")),
            str(values.pop("match", "*")),
            values,
            None if times is None else int(str(times)),
        )
        Behaviour.of(values)
        self._rules.append(rule)

    def clear(self) -> None:
        self._rules.clear()
        self._followed.clear()

    def towards(self, kind: str, text: str) -> Behaviour:
        """What to do with a request of this kind; every rule and directive that fits is counted as followed."""
        if "[[standin:" not in text and not self._rules:
            return NORMAL
        values = self._directed(text)
        for rule in self._rules:
            if rule.kind == kind and (rule.match == "*" or rule.match in text) and rule.left != 0:
                values |= rule.values
                rule.left = None if rule.left is None else rule.left - 1
        return Behaviour.of(values) if values else NORMAL

    def _directed(self, text: str) -> dict[str, object]:
        values: dict[str, object] = {}
        marker = marker_of(text)
        for found in DIRECTIVE.findall(text):
            parsed = _parsed(found)
            times = parsed.pop("times", None)
            if times is not None:
                self._followed[f"{marker}|{found}"] += 1
                if self._followed[f"{marker}|{found}"] > int(str(times)):
                    continue
            values |= parsed
        return values


NORMAL = Behaviour()


def marker_of(text: str) -> str:
    """The task's mark in the text, or nothing."""
    found = MARKER.search(text)
    return found.group(1) if found else ""
