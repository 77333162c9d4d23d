"""A request in Ollama's words."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

from llm_service.errors import RequestUnsupported
from llm_service.providers.ability import refuse_unable
from llm_service.providers.inline import inline_documents
from llm_service.providers.protocol import Capabilities, CompletionRequest, Document, Message, Parameters

PICTURE_TYPES = frozenset({"image/jpeg", "image/png"})

PICTURE_LIMIT = 15_000_000
"""Bytes. The server has no limit of its own; a picture travels as Base64 inside JSON, a third larger."""

TOP_LEVEL = frozenset({"think", "logprobs", "top_logprobs"})
"""Vendor parameters that stand beside ``options``; all others are options."""

OURS = frozenset({"model", "messages", "stream", "truncate", "shift", "format", "keep_alive", "num_ctx"})
"""What the provider itself decides."""

CAPABILITIES = Capabilities(
    picture_types=PICTURE_TYPES,
    picture_limit_bytes=PICTURE_LIMIT,
    schema=True,
    streaming=True,
    embeddings=True,
)
"""Those of the server; whether a model sees is asked of it."""


def pictures_of(request: CompletionRequest) -> tuple[Document, ...]:
    """Documents that go as pictures. Raises RequestUnsupported for what Ollama takes in no form."""
    refuse_unable("ollama", CAPABILITIES, request)
    if refused := sorted(OURS & request.parameters.extra.keys()):
        raise RequestUnsupported(f"Parameters a task can't set for Ollama: {', '.join(refused)}.")
    return tuple(document for document in request.documents if document.text is None)


def messages_of(request: CompletionRequest) -> tuple[Message, ...]:
    """The conversation with the documents' texts in it, ending with a question."""
    messages = inline_documents(request)
    if messages and messages[-1].role == "user":
        return messages
    # A picture alone, or a system message alone: the server would only load the model (done_reason load).
    return (*messages, Message("user", ""))


def payload_of(
    request: CompletionRequest, messages: Sequence[Message], pictures: Sequence[str], num_ctx: int
) -> dict[str, object]:
    """The body without model and lifetime; pictures, in Base64, go with the last message."""
    turns: list[dict[str, object]] = [
        {"role": message.role, "content": message.content} for message in messages
    ]
    if pictures:
        turns[-1]["images"] = list(pictures)
    extra = request.parameters.extra
    payload: dict[str, object] = {name: extra[name] for name in TOP_LEVEL & extra.keys()}
    payload |= {"messages": turns, "options": _options(request.parameters, num_ctx)}
    if request.response_schema is not None:
        payload["format"] = dict(request.response_schema)
    return payload


def encoded(path: Path) -> str:
    """A picture in Base64. Reads the file: to be called in a thread."""
    return base64.b64encode(path.read_bytes()).decode("ascii")


def _options(parameters: Parameters, num_ctx: int) -> Mapping[str, object]:
    named: dict[str, object | None] = {
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        "num_predict": parameters.max_tokens,
        "stop": list(parameters.stop) or None,
        "seed": parameters.seed,
        "num_ctx": num_ctx,
    }
    options = {name: value for name, value in parameters.extra.items() if name not in TOP_LEVEL}
    return options | {name: value for name, value in named.items() if value is not None}
