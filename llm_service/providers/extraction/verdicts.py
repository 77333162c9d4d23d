"""A field that says whether the paper could be read: decided by whether the required facts were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llm_service.providers.extraction.source import Language, language_of

_SUCCESS = frozenset(("успешно", "success", "ok", "passed"))
_NOT_FOUND: Mapping[Language, str] = {"ru": "В тексте не найдено", "en": "Not found in the text"}


def is_verdict(schema: object) -> bool:
    """Whether a field allows a word of success and a word of failure."""
    allowed = schema.get("enum") if isinstance(schema, Mapping) else None
    if not isinstance(allowed, list) or len(allowed) < 2:
        return False
    return any(isinstance(word, str) and word.lower() in _SUCCESS for word in allowed)


def pick_verdict(allowed: Sequence[object], *, passed: bool) -> object:
    """The word of success, or the first that is none."""
    return next(word for word in allowed if (str(word).lower() in _SUCCESS) == passed)


def reason_of(lacking: Sequence[str]) -> str:
    """Why the paper does not pass, in the language of the fields' names; nothing when it does."""
    names = ", ".join(lacking)
    return f"{_NOT_FOUND[language_of(names)]}: {names}." if lacking else ""
