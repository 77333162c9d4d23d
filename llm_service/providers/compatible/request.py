"""A request in the words of OpenAI's protocol, with a vendor's departures from it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from llm_service.errors import ContextTooLong, RequestUnsupported
from llm_service.providers.ability import refuse_unable
from llm_service.providers.compatible.vendor import SchemaMode, Vendor
from llm_service.providers.context_need import ContextNeed
from llm_service.providers.inline import inline_documents, schema_in_words
from llm_service.providers.protocol import (
    Capabilities,
    CompletionRequest,
    Document,
    JsonObject,
    Message,
    Parameters,
)
from llm_service.providers.transport import sendable

PICTURE_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})
PICTURE_LIMIT = 15_000_000
"""Bytes. Vendors take 20 MB and more of a body, and Base64 makes a third more of a picture."""

OURS = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "response_format",
        "n",
        "store",
        "usage",
        "modalities",
        "audio",
        "web_search_options",
        "plugins",
        "enable_search",
        "mcp_servers",
    }
)
"""What the provider itself decides; and what would let a model look elsewhere, as the tools of ``ability`` let it act."""


def capabilities_of(vendor: Vendor, context_tokens: int | None) -> Capabilities:
    """Of the vendor as a whole; a model of it may be able to do less."""
    return Capabilities(
        picture_types=PICTURE_TYPES if vendor.sees else frozenset(),
        picture_limit_bytes=PICTURE_LIMIT,
        schema=vendor.schema is SchemaMode.STRICT,
        streaming=True,
        embeddings=True,
        context_tokens=context_tokens,
    )


def refuse_unfit(vendor: Vendor, able: Capabilities, request: CompletionRequest) -> None:
    """Raises RequestUnsupported, ContextTooLong: what would be refused there, or silently not done."""
    refuse_unable(vendor.name, able, request)
    if refused := sorted(OURS & request.parameters.extra.keys()):
        raise RequestUnsupported(f"Parameters a task can't set for {vendor.title}: {', '.join(refused)}.")
    _refuse_parameters(vendor, request.parameters)
    if able.context_tokens is not None:
        pictures = sum(document.text is None for document in request.documents)
        need = ContextNeed.of(inline_documents(request), pictures, request.parameters.max_tokens)
        if need.estimate > able.context_tokens:
            raise ContextTooLong(
                f"The prompt and the answer need about {need.estimate} tokens, and {vendor.title} is set to "
                f"{able.context_tokens} ({vendor.name.upper()}_CONTEXT_TOKENS); send less text or choose another model."
            )


def payload_of(
    vendor: Vendor, model: str, request: CompletionRequest, pictures: Sequence[str]
) -> dict[str, object]:
    """The body of a streamed chat; ``pictures`` are data addresses, and go with the last message."""
    schema = request.response_schema
    mode = _mode(vendor, schema)
    texts = tuple(document for document in request.documents if document.text is not None)
    messages = inline_documents(replace(request, documents=texts))
    if schema is not None and mode is not SchemaMode.STRICT:
        messages = _with_words(messages, schema_in_words(schema))
    payload: dict[str, object] = {
        **vendor.extra_body,
        **request.parameters.extra,
        **_parameters(vendor, request.parameters),
        "model": model,
        "messages": _turns(messages, pictures),
        "stream": True,
    }
    if vendor.asks_usage:
        payload["stream_options"] = {"include_usage": True}
    if schema is not None and mode is SchemaMode.STRICT:
        named = {"name": "answer", "schema": dict(schema), "strict": _is_strict(schema)}
        payload["response_format"] = {"type": "json_schema", "json_schema": named}
    elif schema is not None and mode is SchemaMode.OBJECT:
        payload["response_format"] = {"type": "json_object"}
    return payload


def data_address(path: Path, content_type: str) -> str:
    """A picture as the protocol takes it. Reads the file: to be called in a thread."""
    return f"data:{content_type};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def pictures_of(request: CompletionRequest) -> tuple[Document, ...]:
    """Documents that go as pictures."""
    return tuple(document for document in request.documents if document.text is None)


def _refuse_parameters(vendor: Vendor, parameters: Parameters) -> None:
    if vendor.most_stops is not None and len(parameters.stop) > vendor.most_stops:
        raise RequestUnsupported(
            f"{vendor.title} takes {vendor.most_stops} stop sequences; here are {len(parameters.stop)}."
        )
    if parameters.temperature is not None and parameters.temperature > vendor.highest_temperature:
        raise RequestUnsupported(
            f"{vendor.title} takes a temperature up to {vendor.highest_temperature:g}; it is {parameters.temperature:g}."
        )


def _mode(vendor: Vendor, schema: JsonObject | None) -> SchemaMode:
    """A vendor's modes are for objects; any other value is asked for in words."""
    if schema is None or schema.get("type") != "object":
        return SchemaMode.WORDS
    return vendor.schema


def _is_strict(schema: object) -> bool:
    """Whether each object in it names all its properties as required and takes no others, as strict mode demands."""
    if isinstance(schema, list):
        return all(map(_is_strict, schema))
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or properties is not None:
        required = schema.get("required")
        names = set(properties) if isinstance(properties, Mapping) else set()
        if schema.get("additionalProperties") is not False:
            return False
        if not isinstance(required, list) or set(required) != names:
            return False
    return all(map(_is_strict, schema.values()))


def _parameters(vendor: Vendor, parameters: Parameters) -> dict[str, object]:
    named: dict[str, object | None] = {
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        vendor.max_tokens: parameters.max_tokens,
        "stop": list(parameters.stop) or None,
        "seed": parameters.seed,
    }
    return {name: value for name, value in named.items() if value is not None and name not in vendor.drops}


def _with_words(messages: Sequence[Message], words: str) -> tuple[Message, ...]:
    """At the end of the last question; the system message stays as it is."""
    if not messages or messages[-1].role != "user":
        return (*messages, Message("user", words))
    question = messages[-1].content
    return (*messages[:-1], Message("user", f"{question}\n\n{words}" if question else words))


def _turns(messages: Sequence[Message], pictures: Sequence[str]) -> list[dict[str, object]]:
    turns: list[dict[str, object]] = [
        {"role": message.role, "content": sendable(message.content)} for message in messages
    ]
    if not turns or turns[-1]["role"] != "user":
        turns.append({"role": "user", "content": ""})
    if pictures:
        words = turns[-1]["content"]
        parts: list[object] = [{"type": "text", "text": words}] if words else []
        parts += [{"type": "image_url", "image_url": {"url": address}} for address in pictures]
        turns[-1]["content"] = parts
    return turns
