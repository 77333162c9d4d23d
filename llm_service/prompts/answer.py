"""Is the model's answer what was asked for, and what to tell the model when it is not."""

from __future__ import annotations

import json
from collections.abc import Mapping

from llm_service.errors import AnswerError, AnswerNotJson, AnswerSchemaMismatch
from llm_service.prompts.bounded_validator import SchemaCostError
from llm_service.prompts.schema import mismatches

_FINDINGS = 5
"""Shown of one answer: a model that gets more than five fields wrong has misread the whole."""
_FENCE = "```"
_LANGUAGE_TAG_CHARS = 12
_REPEATED_ANSWER_CHARS = 4_000
"""Of a wrong answer shown back to its model: enough to see its shape, a page at most."""


def check_answer(text: str, schema: Mapping[str, object] | None) -> None:
    """Return when the text is JSON that matches the schema; without a schema any text will do.

    Raises AnswerNotJson, or AnswerSchemaMismatch with at most five findings by place; neither repeats
    the answer.
    """
    if schema is None:
        return
    value = parse_json(extract_json(text))
    try:
        findings = mismatches(schema, value, _FINDINGS + 1)
    except SchemaCostError as error:
        raise AnswerSchemaMismatch(
            f"The answer can't be held to the schema: {error}; simplify the schema."
        ) from None
    if findings:
        more = "; and more" if len(findings) > _FINDINGS else ""
        raise AnswerSchemaMismatch(
            f"The answer does not match the schema: {'; '.join(findings[:_FINDINGS])}{more}."
        )


def extract_json(text: str) -> str:
    """The JSON part of an answer: what a Markdown fence holds where there is one, else the text, trimmed.

    Models put JSON into a fence, and a sentence before it, also when told not to.
    """
    trimmed = text.lstrip("\ufeff").strip()
    if trimmed[:1] in ("{", "["):
        return trimmed
    opened = trimmed.find(_FENCE)
    if opened < 0:
        return trimmed
    inside = trimmed[opened + len(_FENCE) :]
    first_line, newline, rest = inside.partition("\n")
    if newline and len(first_line) <= _LANGUAGE_TAG_CHARS and first_line.strip().isalnum():
        inside = rest
    elif inside[:4].lower() == "json":
        inside = inside[4:]
    closed = inside.rfind(_FENCE)
    return (inside[:closed] if closed >= 0 else inside).strip()


def parse_json(text: str) -> object:
    """The value of strict JSON: NaN and Infinity are refused, which json.loads takes.

    Raises AnswerNotJson, naming the place but not the text.
    """
    try:
        value: object = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise AnswerNotJson(
            f"The answer is not JSON: {error.msg} at {place} of {len(text)} characters."
        ) from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)[:100]
        raise AnswerNotJson(f"The answer is not JSON: {reason}.") from None
    return value


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")


def repair_turn(schema: Mapping[str, object], text: str, error: AnswerError) -> str:
    """The one message that shows the model what was wrong with its answer and asks for it again."""
    shown = text if len(text) <= _REPEATED_ANSWER_CHARS else text[:_REPEATED_ANSWER_CHARS] + " […]"
    return (
        "Your previous answer can't be used.\n"
        f"What is wrong: {error.message}\n\n"
        f"Your previous answer was:\n{shown}\n\n"
        "Answer again with one JSON value that matches this JSON Schema, and with nothing else: "
        f"no Markdown, no explanation.\n{json.dumps(schema, ensure_ascii=False)}"
    )
