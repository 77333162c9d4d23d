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
_SEEDS = ("a", " ", "0", "-", ".", "@", "\n", "\t", "/", "<", "{", "\\", ",", ":", '"', "я", "a.", "a ", "0.", "0 ", "a@", "-a", "{{", "<a", "a:", ": ", "А. ")
_ENDS = ("", "!", "\x00", "\n\x00")


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
    for seed, end in product((*_SEEDS, *own_seeds(source)), _ENDS):
        text = (seed * (LENGTH // len(seed) + 1))[:LENGTH] + end
        began = time.process_time()
        if is_bytes:
            pattern.search(text.encode())  # type: ignore[arg-type]
        else:
            pattern.search(text)  # type: ignore[arg-type]
        took = time.process_time() - began
        assert took < LIMIT_S, f"{name} took {took:.2f} s over {seed!r} × {LENGTH}"
