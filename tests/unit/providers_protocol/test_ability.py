"""What a provider can't is refused before any call, with the way out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llm_service.errors import RequestUnsupported
from llm_service.providers.ability import TOOLS, refuse_unable
from llm_service.providers.protocol import Capabilities, CompletionRequest, Document, Message, Parameters

ASK = CompletionRequest((Message("user", "?"),))
ABLE = Capabilities(
    upload_types=frozenset({"application/pdf"}),
    picture_types=frozenset({"image/png"}),
    upload_limit_bytes=2_000_000,
    picture_limit_bytes=1_000_000,
    grammar=True,
)
HERE = Path("document")


def said(able: Capabilities, request: CompletionRequest) -> str:
    with pytest.raises(RequestUnsupported) as raised:
        refuse_unable("acme", able, request)
    assert "acme" in raised.value.message or "tools" in raised.value.message
    return raised.value.message


@pytest.mark.parametrize(
    "document",
    [
        Document("a.txt", "text/plain", text="words"),
        Document("a.zip", "application/zip", text="words of it"),
        Document("a.pdf", "application/pdf", path=HERE, size=2_000_000),
        Document("a.png", "image/png", path=HERE, size=1_000_000),
    ],
)
def test_what_it_takes_passes(document: Document) -> None:
    refuse_unable("acme", ABLE, replace(ASK, documents=(document,), grammar="root ::= [0-9]"))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (Document("a.pdf", "application/pdf", path=HERE, size=2_000_001), "up to 2 MB; 'a.pdf' has 2.0 MB"),
        (Document("a.png", "image/png", path=HERE, size=1_500_000), "up to 1 MB; 'a.png' has 1.5 MB"),
        (Document("a.gif", "image/gif", path=HERE), "no picture of type 'image/gif'"),
        (Document("a.zip", "application/zip", path=HERE), "no file of type 'application/zip'"),
        (Document("a.pdf", "application/pdf"), "'a.pdf' has no text"),
    ],
)
def test_a_file_it_does_not_take_is_refused_with_its_name_and_numbers(document: Document, words: str) -> None:
    assert words in said(ABLE, replace(ASK, documents=(document,)))


def test_a_picture_for_who_sees_nothing() -> None:
    assert not Capabilities().vision
    assert not Capabilities().upload
    assert ABLE.vision
    assert ABLE.upload
    document = Document("a.png", "image/png", path=HERE)
    assert "no picture" in said(Capabilities(), replace(ASK, documents=(document,)))


def test_a_grammar_for_who_keeps_none() -> None:
    assert "response_format" in said(Capabilities(), replace(ASK, grammar="root ::= [0-9]"))


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_tools_are_nobodys(name: str) -> None:
    request = replace(ASK, parameters=Parameters(extra={name: [], "top_k": 5}))
    assert name in said(ABLE, request)
    assert "top_k" not in said(ABLE, request)
