"""Secrets out of lines: the last net, for what a library puts into its own messages."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from urllib.parse import quote, quote_plus

from llm_service.observability.escaping import escape

HIDDEN = "***"

ANYWHERE_CHARS = 12
"""A secret of this length stands for nothing else: it is blotted out wherever it appears, also inside a word."""

TOKEN_CHARS = 6
"""A shorter one is blotted out as a whole token, unless it reads like a word or is shorter than this: ``postgres``,
``1234`` are a user, a port or an offset in most lines, and go where a key-like word stands before them."""

_KEY_WORD = r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|key|credentials?|authorization|auth|bearer|basic|login)"
# password=…  "api_key": "…"  --token …  PASSWORD is …
_AFTER_KEY = rf"(?i:{_KEY_WORD}\w{{0,32}})[\"'\\]*(?:\s*(?:[=:]|=>|\bis\b)\s*|\s+)[\"'\\]*"
# postgres://user:…@host
_IN_URL = r"://[^\s/@:]*:"

# What no setting names: a token that was got at run time. Whatever stands after the scheme goes.
_SCHEME = re.compile(r"\b((?i:bearer|basic))\s+(?=[A-Za-z0-9._~+/=-]*[0-9A-Z._~+/=])[A-Za-z0-9._~+/=-]{8,}")


class Blotter:
    """Takes these secrets out of text, in every form they are written in: as they are, in JSON, in a URL, escaped."""

    def __init__(self, secrets: Sequence[str]) -> None:
        forms = sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)
        self._anywhere = tuple(form for form in forms if len(form) >= ANYWHERE_CHARS)
        self._near = tuple((form, _pattern(form)) for form in forms if len(form) < ANYWHERE_CHARS)

    def __call__(self, text: str) -> str:
        for secret in self._anywhere:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        for secret, pattern in self._near:
            if secret in text:
                text = pattern.sub(rf"\g<before>{HIDDEN}", text)
        if "earer " in text or "asic " in text or "EARER " in text or "ASIC " in text:
            text = _SCHEME.sub(rf"\1 {HIDDEN}", text)
        return text


def _forms(secret: str) -> set[str]:
    if not secret.strip():
        return set()
    spelt = {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        secret.replace('"', '\\"'),
        repr(secret)[1:-1],
        secret.encode("unicode_escape").decode(),
        quote(secret, safe=""),
        quote_plus(secret),
    }
    return spelt | {escape(form) for form in spelt}


def _pattern(secret: str) -> re.Pattern[str]:
    """A short secret where it can be nothing else."""
    whole = re.escape(secret) + r"(?!\w)"
    before = rf"{_AFTER_KEY}|{_IN_URL}"
    if len(secret) >= TOKEN_CHARS and not _reads_like_a_word(secret):
        before += r"|(?<!\w)"
    return re.compile(rf"(?P<before>{before}){whole}")


def _reads_like_a_word(secret: str) -> bool:
    return secret.isdigit() or (secret.isalpha() and (secret.islower() or secret.istitle()))
