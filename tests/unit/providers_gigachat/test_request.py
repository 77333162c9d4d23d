"""A request in GigaChat's words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llm_service.errors import RequestUnsupported
from llm_service.providers.gigachat_options import concurrency_for_scope, joined
from llm_service.providers.gigachat_request import (
    PICTURE_LIMIT,
    UPLOAD_LIMIT,
    Attachment,
    chat_of,
    uploads_of,
    vendor_type,
)
from llm_service.providers.gigachat_stop import ShownText
from llm_service.providers.protocol import CompletionRequest, Document, Message, Parameters

HERE = Path("document")
ASK = CompletionRequest((Message("system", "Система"), Message("user", "Вопрос")), nonce="n")
OFFICE = "application/vnd.openxmlformats-officedocument"


def picture(number: int, size: int = 10) -> Document:
    return Document(f"{number}.png", "image/png", path=HERE, size=size)


@pytest.mark.parametrize(
    ("registered", "wanted"),
    [
        ("application/pdf", "application/pdf"),
        ("application/epub+zip", "application/epub"),
        ("application/vnd.ms-powerpoint", "application/ppt"),
        (f"{OFFICE}.presentationml.presentation", "application/pptx"),
        (f"{OFFICE}.spreadsheetml.sheet", "application/vnd.ms-excel"),
        (f"{OFFICE}.wordprocessingml.document", f"{OFFICE}.wordprocessingml.document"),
        ("image/jpeg", "image/jpeg"),
        ("text/csv", None),
        ("application/json", None),
        ("text/html", None),
        ("application/zip", None),
        ("image/gif", None),
        ("image/webp", None),
    ],
)
def test_files_go_under_the_types_the_vendor_documents(registered: str, wanted: str | None) -> None:
    assert vendor_type(Document("d", registered, path=HERE)) == wanted


def test_a_document_that_is_text_already_is_not_uploaded() -> None:
    request = replace(ASK, documents=(Document("d.txt", "text/plain", text="Слова документа"),))
    assert uploads_of(request) == ()
    assert "Слова документа" in chat_of(request, "m", []).messages[-1].content


def test_the_system_message_is_first_and_one_wherever_it_stood() -> None:
    request = CompletionRequest((Message("user", "a"), Message("system", "b"), Message("system", "c")))
    messages = chat_of(request, "m", []).messages
    assert [(message.role, message.content) for message in messages] == [("system", "b\n\nc"), ("user", "a")]


def test_files_go_with_the_question_and_pictures_one_a_message() -> None:
    documents = (Document("a.pdf", "application/pdf", path=HERE), picture(1), picture(2), picture(3))
    attachments = [Attachment(f"id-{document.name}", document) for document in documents]
    messages = chat_of(replace(ASK, documents=documents), "m", attachments).messages
    assert [message.attachments for message in messages] == [
        None,
        ["id-1.png"],
        ["id-2.png"],
        ["id-a.pdf", "id-3.png"],
    ]
    assert messages[-1].content == "Вопрос"


def test_the_schema_ends_the_last_question() -> None:
    messages = chat_of(replace(ASK, response_schema={"type": "object"}), "m", []).messages
    assert messages[0].content == "Система"
    assert messages[-1].content.startswith("Вопрос\n\n")
    assert '{"type": "object"}' in messages[-1].content


@pytest.mark.parametrize(
    "documents",
    [
        (Document("a.zip", "application/zip", path=HERE),),
        (Document("a.pdf", "application/pdf", path=HERE, size=UPLOAD_LIMIT + 1),),
        (picture(1, PICTURE_LIMIT + 1),),
        tuple(picture(number) for number in range(11)),
        tuple(picture(number, PICTURE_LIMIT) for number in range(6)),
    ],
    ids=["type", "large document", "large picture", "11 pictures", "90 MB of pictures"],
)
def test_what_the_vendor_would_refuse_is_refused_before_it_is_sent(documents: tuple[Document, ...]) -> None:
    with pytest.raises(RequestUnsupported):
        uploads_of(replace(ASK, documents=documents))


@pytest.mark.parametrize("name", ["functions", "function_call", "tools", "storage"])
def test_nothing_that_lets_a_model_act_is_passed(name: str) -> None:
    with pytest.raises(RequestUnsupported, match=name):
        uploads_of(replace(ASK, parameters=Parameters(extra={name: "auto"})))


def test_a_grammar_is_refused() -> None:
    with pytest.raises(RequestUnsupported, match="grammar"):
        uploads_of(replace(ASK, grammar='root ::= "yes"'))


def test_a_stop_sequence_ends_the_text() -> None:
    for stops, whole in ((("три", " два"), "один"), (("",), "один два три"), ((), "один два три")):
        shown = ShownText(Parameters(stop=stops))
        pieces = [shown.add(char) for char in "один два три"]
        assert "".join([*pieces, shown.rest()]) == shown.whole == whole


def test_what_may_begin_a_stop_sequence_is_held_back_until_it_is_sure() -> None:
    shown = ShownText(Parameters(stop=("КОНЕЦ",)))
    assert shown.add("да КОН") == "да"
    assert shown.add("и") == " "
    assert shown.rest() == "КОНи"


@pytest.mark.parametrize(
    ("base", "version", "whole"),
    [
        ("https://gigachat.devices.sberbank.ru", "api/v1", "https://gigachat.devices.sberbank.ru/api/v1"),
        ("https://gigachat.devices.sberbank.ru/", "/api/v1/", "https://gigachat.devices.sberbank.ru/api/v1"),
        (
            "https://gigachat.devices.sberbank.ru/api/v1",
            "api/v1",
            "https://gigachat.devices.sberbank.ru/api/v1",
        ),
        ("https://api.giga.chat/v1", "", "https://api.giga.chat/v1"),
        ("https://api.giga.chat", "v1", "https://api.giga.chat/v1"),
    ],
)
def test_address_and_version_are_joined_once(base: str, version: str, whole: str) -> None:
    assert joined(base, version) == whole


def test_the_scope_says_how_many_at_once() -> None:
    scopes = ("GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP", "OTHER")
    assert [concurrency_for_scope(scope) for scope in scopes] == [1, 10, 10, 1]
