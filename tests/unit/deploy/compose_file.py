"""``docker-compose.yml`` as Compose reads it: merged, and with its variables put in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[3]
COMPOSE = PROJECT / "docker-compose.yml"
PROGRAM = "llm-service"
"""The image that is built here; all others are pulled."""
_DOLLAR = "\N{NULL}"
"""Stands for the ``$`` of ``$$`` while variables are put in."""
# The innermost: what stands behind :- or :+ holds no other any more.
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<operator>:[-+])(?P<word>[^${}]*))?\}")


class ComposeFile:
    """The file under a set of variables, which are those of ``.env`` and of the shell."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self.model: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
        self.services: dict[str, dict[str, Any]] = _interpolated(self.model["services"], variables or {})

    def environment(self, service: str) -> dict[str, str]:
        """What the file itself sets for a service; it goes before what ``env_file`` brings."""
        pairs = self.services[service].get("environment", {})
        assert all(isinstance(value, str) for value in pairs.values()), (
            "a number or a bool is not what is meant"
        )
        return dict(pairs)

    def of_ours(self) -> Iterator[str]:
        """The services that run our image."""
        return (name for name, service in self.services.items() if service["image"] == PROGRAM)

    def jobs(self) -> set[str]:
        """The services that another waits for to end well."""
        return {
            name
            for service in self.services.values()
            for name, how in service.get("depends_on", {}).items()
            if how["condition"] == "service_completed_successfully"
        }


def names_of_variables() -> set[str]:
    """Each variable that the file asks for."""
    return set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE.read_text()))


def _interpolated(node: Any, given: Mapping[str, str]) -> Any:
    match node:
        case dict():
            return {key: _interpolated(value, given) for key, value in node.items()}
        case list():
            return [_interpolated(value, given) for value in node]
        case str():
            return _put_in(node, given)
        case _:
            return node


def _put_in(text: str, given: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        set_to = given.get(found["name"], "")
        if found["operator"] == ":+":
            return str(found["word"]) if set_to else ""
        return set_to or found["word"] or ""

    text, count = text.replace("$$", _DOLLAR), 1
    while count:
        text, count = _VARIABLE.subn(value, text)
    return text.replace(_DOLLAR, "$")
