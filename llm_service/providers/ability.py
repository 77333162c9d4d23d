"""What a task asks and a provider can't, said before any call: nothing is spent on it, and the reason names the way out."""

from __future__ import annotations

from llm_service.errors import RequestUnsupported
from llm_service.providers.protocol import Capabilities, CompletionRequest, Document

TOOLS = frozenset(
    {"functions", "function_call", "tools", "tool_choice", "tool_config", "parallel_tool_calls"}
)
"""Parameters that let a model act, by the names of several vendors. A document's text reaches the model, so that no tool
is ever offered to it."""


def refuse_unable(provider: str, able: Capabilities, request: CompletionRequest) -> None:
    """Raises RequestUnsupported for a grammar, a tool or a document that this provider takes in no form."""
    if request.grammar is not None and not able.grammar:
        raise RequestUnsupported(
            f"The provider {provider} takes no grammar; ask for a response_format with a JSON Schema, or another provider."
        )
    if tools := sorted(TOOLS & request.parameters.extra.keys()):
        raise RequestUnsupported(f"No tools are offered to a model here: leave out {', '.join(tools)}.")
    for document in request.documents:
        if document.text is None:
            _refuse_file(provider, able, document)


def _refuse_file(provider: str, able: Capabilities, document: Document) -> None:
    shown = f"{document.name[:100]!r}"
    is_picture = document.content_type in able.picture_types
    if document.path is None or not (is_picture or document.content_type in able.upload_types):
        kind = "picture" if document.content_type.startswith("image/") else "file"
        raise RequestUnsupported(
            f"The provider {provider} takes no {kind} of type {document.content_type[:100]!r}, and {shown} has no text."
        )
    limit = able.picture_limit_bytes if is_picture else able.upload_limit_bytes
    if limit and document.size > limit:
        raise RequestUnsupported(
            f"The provider {provider} takes files of {document.content_type} up to {limit // 1_000_000} MB; "
            f"{shown} has {document.size / 1e6:.1f} MB."
        )
