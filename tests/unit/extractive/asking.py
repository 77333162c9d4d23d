"""How the tests ask the provider."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llm_service.providers.extractive import Extractive
from llm_service.providers.protocol import Completion, CompletionRequest, Document, Message, Parameters

INSTRUCTION = Message("user", "Do what the prompt says with the document.")


def document(text: str | None, name: str = "letter.txt") -> Document:
    return Document(name, "text/plain", text)


async def ask(
    *texts: str, schema: Mapping[str, object] | None = None, max_tokens: int | None = None
) -> Completion:
    return await Extractive().complete(
        CompletionRequest(
            messages=(INSTRUCTION,),
            documents=tuple(document(text, f"{number}.txt") for number, text in enumerate(texts, 1)),
            response_schema=schema,
            parameters=Parameters(max_tokens=max_tokens),
        )
    )


async def fields(text: str, schema: Mapping[str, object]) -> Any:
    completion = await ask(text, schema=schema)
    return json.loads(completion.text)
