"""A prompt may let the model say that a document does not pass: that makes the task FAILED."""

from __future__ import annotations

import json
from dataclasses import dataclass

from llm_service.errors import VerdictFailed
from llm_service.prompts.answer import extract_json, parse_json

SUCCESS_WORDS = ("Успешно", "Success", "success", "SUCCESS")
"""The values met in the field; anything else in the verdict's field is a failure."""
_REASON_CHARS = 1_000
"""The reason becomes the task's error message, which readers show on a screen."""


@dataclass(frozen=True, slots=True)
class VerdictRule:
    """Which field of a JSON answer says whether it succeeded, and which says why not."""

    field: str
    success: tuple[str, ...] = SUCCESS_WORDS
    reason: str = "Причина"
    aliases: tuple[str, ...] = ()
    """Other names of the same field, for models that translate it; looked at where ``field`` is absent."""


def apply(rule: VerdictRule, text: str) -> None:
    """Return when the answer passes: it is no JSON object, names no verdict, or names a success.

    Raises AnswerNotJson when the text begins with ``{`` and is no JSON; VerdictFailed with the reason.
    """
    candidate = extract_json(text)
    if not candidate.startswith("{"):
        return
    answer = parse_json(candidate)
    if not isinstance(answer, dict):
        return
    name = next((name for name in (rule.field, *rule.aliases) if name in answer), None)
    if name is None:
        return
    verdict = answer[name]
    if isinstance(verdict, str) and verdict.strip() in rule.success:
        return
    raise VerdictFailed(
        _one_line(answer.get(rule.reason))
        or f"The model answered {name}: {_one_line(verdict)}, without a reason."
    )


def _one_line(value: object) -> str:
    """Any JSON value as one bounded line: control characters of an answer must not forge a line of a log."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    printable = "".join(char if char.isprintable() else " " for char in text[: 2 * _REASON_CHARS])
    return " ".join(printable.split())[:_REASON_CHARS]
