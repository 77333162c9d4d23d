"""A request in the engine's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from llm_service.engine.frames import Generate
from llm_service.engine.sampling import Sampling
from llm_service.errors import RequestRejected, RequestUnsupported
from llm_service.providers.inline import inline_documents, schema_in_words
from llm_service.providers.protocol import CompletionRequest, Parameters

# What the protocol has fields for.
_OWN = frozenset(("temperature", "top_p", "seed"))
_EXTRA = {field.name: field for field in fields(Sampling) if field.name not in _OWN}
_WHOLE = frozenset(("top_k", "repeat_last_n", "dry_allowed_length", "dry_penalty_last_n", "mirostat"))


def command_of(request: CompletionRequest, name: str, now: float) -> Generate:
    """The command; ``now`` is of the clock that the request's deadline is on.

    Raises RequestUnsupported or RequestRejected for a parameter that the engine does not know.
    """
    if request.grammar is not None and request.response_schema is not None:
        raise RequestRejected("A grammar and a JSON Schema at once: ask for one of them.")
    schema = request.response_schema
    return Generate(
        name,
        tuple((message.role, message.content) for message in inline_documents(request)),
        request.parameters.max_tokens,
        _sampling(request.parameters),
        request.parameters.stop,
        None if schema is None else json.dumps(schema, default=_plain),
        request.grammar,
        request.priority,
        None if request.deadline is None else max(0.0, request.deadline - now),
        "" if schema is None else schema_in_words(schema),
    )


def _sampling(parameters: Parameters) -> Sampling:
    unknown = sorted(set(parameters.extra) - set(_EXTRA))
    if unknown:
        raise RequestUnsupported(
            f"The local engine does not know {', '.join(unknown)[:200]}; it knows {', '.join(sorted(_EXTRA))}."
        )
    wanted: dict[str, Any] = {name: _checked(name, value) for name, value in parameters.extra.items()}
    wanted |= {name: getattr(parameters, name) for name in _OWN if getattr(parameters, name) is not None}
    return Sampling(**wanted)


def _checked(name: str, value: object) -> object:
    if name == "logit_bias":
        if isinstance(value, Mapping) and all(_is_number(bias) for bias in value.values()):
            return {str(token): bias for token, bias in value.items()}
        raise RequestRejected("logit_bias is an object: the number of a token, and what is added to it.")
    if not _is_number(value) or (name in _WHOLE and not isinstance(value, int)):
        raise RequestRejected(f"{name} is a {'whole ' if name in _WHOLE else ''}number.")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no part of a JSON Schema")
