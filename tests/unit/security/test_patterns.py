"""No pattern of the service takes long over a text made to make it so."""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
from collections.abc import Iterator
from itertools import product

import pytest
import regex

import llm_service

LIMIT_S = 0.05
# What a message may have is cut before most patterns see it; the longest that meet whole documents get this and more.
LENGTH = 20_000
_SEEDS = (
    "a",
    " ",
    "0",
    "-",
    ".",
    "@",
    "\n",
    "\t",
    "/",
    "<",
    "{",
    "\\",
    ",",
    ":",
    '"',
    "я",
    "a.",
    "a ",
    "0.",
    "0 ",
    "a@",
    "-a",
    "{{",
    "<a",
    "a:",
    ": ",
    "А. ",
)
_ENDS = ("", "!", "\x00", "\n\x00")
# Asked only where a text begins; searched for, they would begin anew at every character.
ONLY_AT_THE_BEGINNING = {
    "llm_service.files.content_type._HTML_START",
    "llm_service.files.content_type._MAIL_START",
    "llm_service.kafka.cluster._BROKER",
    "llm_service.settings.families._OF_OTHERS",
}
# Reads what the operator wrote into his own settings.
OF_THE_OPERATOR = {"llm_service.settings.layers._COMMENT"}


def modules() -> Iterator[str]:
    for found in pkgutil.walk_packages(llm_service.__path__, "llm_service."):
        if not found.name.endswith("__main__"):
            yield found.name


def patterns() -> Iterator[tuple[str, object]]:
    """Every compiled pattern that a module or a class of it holds."""
    seen: set[int] = set()
    for name in modules():
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue  # of an extra that is not here
        for attribute, value in vars(module).items():
            for each in value if isinstance(value, list | tuple) else [value]:
                if f"{name}.{attribute}" in OF_THE_OPERATOR:
                    continue
                if isinstance(each, re.Pattern | regex.Pattern) and id(each) not in seen:
                    seen.add(id(each))
                    yield f"{name}.{attribute}", each


FOUND = list(patterns())


def own_seeds(source: str) -> list[str]:
    """Pieces of the pattern itself: what it wants to see over and over."""
    literals = re.findall(r"[A-Za-zА-Яа-я0-9<>{}@:/.\-]{2,12}", source)
    return [literal + end for literal in literals[:6] for end in ("", " ")]


def test_there_are_patterns_to_try() -> None:
    assert len(FOUND) > 30


@pytest.mark.parametrize(("name", "pattern"), FOUND, ids=[name for name, _ in FOUND])
def test_it_is_quick_over_anything(name: str, pattern: re.Pattern[str] | re.Pattern[bytes]) -> None:
    is_bytes = isinstance(pattern.pattern, bytes)
    source = pattern.pattern.decode("latin-1") if isinstance(pattern.pattern, bytes) else pattern.pattern
    ask = pattern.match if name in ONLY_AT_THE_BEGINNING else pattern.search
    for seed, end in product((*_SEEDS, *own_seeds(source)), _ENDS):
        text = (seed * (LENGTH // len(seed) + 1))[:LENGTH] + end
        began = time.process_time()
        ask(text.encode() if is_bytes else text)  # type: ignore[arg-type]
        took = time.process_time() - began
        assert took < LIMIT_S, f"{name} took {took:.2f} s over {seed!r} × {LENGTH}"
