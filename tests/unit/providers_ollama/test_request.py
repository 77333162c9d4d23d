"""A request in Ollama's words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llm_service.errors import RequestUnsupported
from llm_service.providers.ollama_options import OllamaOptions
from llm_service.providers.ollama_request import messages_of, payload_of, pictures_of
from llm_service.providers.protocol import CompletionRequest, Document, Message, Parameters

ASK = CompletionRequest((Message("system", "Система"), Message("user", "Вопрос")), nonce="n")


def test_parameters_go_under_the_vendors_names() -> None:
    parameters = Parameters(
        temperature=0.1,
        top_p=0.2,
        max_tokens=3,
        stop=("a", "b"),
        seed=0,
        extra={"top_k": 5, "think": False, "temperature": 9},
    )
    payload = payload_of(replace(ASK, parameters=parameters), ASK.messages, [], 4096)
    assert payload["think"] is False
    assert payload["options"] == {
        "temperature": 0.1,
        "top_p": 0.2,
        "num_predict": 3,
        "stop": ["a", "b"],
        "seed": 0,
        "num_ctx": 4096,
        "top_k": 5,
    }


def test_what_is_not_set_is_not_sent() -> None:
    assert payload_of(ASK, ASK.messages, [], 4096)["options"] == {"num_ctx": 4096}
    assert "format" not in payload_of(ASK, ASK.messages, [], 4096)


def test_pictures_go_with_the_question() -> None:
    turns = payload_of(ASK, ASK.messages, ["QUJD"], 4096)["messages"]
    assert turns == [
        {"role": "system", "content": "Система"},
        {"role": "user", "content": "Вопрос", "images": ["QUJD"]},
    ]


def test_a_picture_without_a_question_gets_an_empty_one() -> None:
    request = CompletionRequest((Message("system", "Опиши"),))
    assert messages_of(request)[-1] == Message("user", "")


@pytest.mark.parametrize("name", ["tools", "num_ctx", "truncate", "messages", "stream"])
def test_what_the_provider_decides_a_task_can_not_set(name: str) -> None:
    with pytest.raises(RequestUnsupported, match=name):
        pictures_of(replace(ASK, parameters=Parameters(extra={name: 1})))


@pytest.mark.parametrize(
    "document",
    [
        Document("a.pdf", "application/pdf", path=Path("a.pdf")),
        Document("a.gif", "image/gif", path=Path("a.gif")),
        Document("a.png", "image/png"),
        Document("a.png", "image/png", path=Path("a.png"), size=20_000_000),
    ],
)
def test_files_in_other_forms_are_refused(document: Document) -> None:
    with pytest.raises(RequestUnsupported, match=r"a\."):
        pictures_of(replace(ASK, documents=(document,)))


@pytest.mark.parametrize(
    ("given", "sent"), [("5m", "5m"), ("-1", -1), ("300", 300), ("1h30m", "1h30m"), ("", None)]
)
def test_a_lifetime_in_seconds_is_a_number(given: str, sent: object) -> None:
    options = {
        "base_url": "http://h",
        "model": "m",
        "connect_timeout_seconds": 1,
        "request_timeout_seconds": 1,
        "num_ctx_max": 4096,
        "keep_alive": given,
    }
    assert OllamaOptions.of(options).keep_alive == sent
