"""The stand-ins refuse what the vendors refuse: asked by plain HTTP, without our providers."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.standins.behaviour import directive
from tests.standins.process import GigaChatProcess, gigachat

KINDS = [
    ("application/pdf", 200),
    ("application/epub", 200),
    ("application/pptx", 200),
    ("image/png", 200),
    ("application/epub+zip", 400),
    ("text/csv", 400),
    ("text/html", 400),
    ("image/webp", 400),
]


@pytest.fixture(scope="module")
def vendor() -> Iterator[GigaChatProcess]:
    with gigachat() as running:
        running.set(tokens_a_second=1000)
        yield running


@pytest.fixture
def http(vendor: GigaChatProcess) -> Iterator[httpx.Client]:
    context = httpx.create_ssl_context(trust_env=False)
    context.load_verify_locations(str(vendor.ca_bundle))
    with httpx.Client(base_url=vendor.base_url, verify=context, trust_env=False) as client:
        token = ask_token(client, vendor).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client
    vendor.forget()


def ask_token(client: httpx.Client, vendor: GigaChatProcess, **headers: str) -> httpx.Response:
    given = {
        "Authorization": f"Basic {vendor.authorization_key}",
        "RqUID": str(uuid.uuid4()),
        **headers,
    }
    return client.post(vendor.oauth_url, data={"scope": vendor.scope}, headers=given)


def chat(client: httpx.Client, *messages: dict[str, Any], **more: Any) -> httpx.Response:
    body = {"model": "GigaChat", "messages": list(messages), **more}
    return client.post("/api/v1/chat/completions", json=body)


def user(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **more}


def upload(
    client: httpx.Client, kind: str, content: bytes = b"x", purpose: str = "general"
) -> httpx.Response:
    return client.post("/api/v1/files", files={"file": ("имя", content, kind)}, data={"purpose": purpose})


def test_a_token_has_its_conditions(vendor: GigaChatProcess, http: httpx.Client) -> None:
    assert ask_token(http, vendor).json()["expires_at"] > time.time() * 1000
    assert ask_token(http, vendor, RqUID="").status_code == 400
    assert ask_token(http, vendor, RqUID="no uuid").status_code == 400
    assert ask_token(http, vendor, Authorization="Basic d3Jvbmc6a2V5").status_code == 401
    vendor.set(token_form="tok")
    assert ask_token(http, vendor).json()["exp"] < time.time() * 10
    vendor.set(token_form="access_token", tokens_a_second=10)
    assert 429 in {ask_token(http, vendor).status_code for _ in range(12)}
    vendor.set(tokens_a_second=1000)


def test_a_chat_has_its_conditions(http: httpx.Client) -> None:
    system = {"role": "system", "content": "s"}
    assert chat(http, system, user("u")).status_code == 200
    assert chat(http, user("u"), system).status_code == 422
    assert chat(http, system, system, user("u")).status_code == 422
    assert chat(http, user("u"), model="none").status_code == 404
    assert chat(http, user("u", attachments=["no-such-file"])).status_code == 422
    assert http.post("/api/v1/chat/completions", content=b"{").status_code == 400
    http.headers["Authorization"] = "Bearer wrong"
    assert chat(http, user("u")).status_code == 401


@pytest.mark.parametrize(("kind", "status"), KINDS)
def test_a_file_has_its_type(http: httpx.Client, kind: str, status: int) -> None:
    assert upload(http, kind).status_code == status


def test_a_file_has_its_size_and_purpose_and_is_gone_when_deleted(http: httpx.Client) -> None:
    assert upload(http, "image/png", b"x" * 15_000_001).status_code == 413
    assert upload(http, "text/plain", purpose="other").status_code == 400
    file_id = upload(http, "text/plain", b"[[task:in-a-file]]").json()["id"]
    answer = chat(http, user("?", attachments=[file_id])).json()
    assert "in-a-file" in answer["choices"][0]["message"]["content"]
    assert http.post(f"/api/v1/files/{file_id}/delete").json() == {"id": file_id, "deleted": True}
    assert http.post(f"/api/v1/files/{file_id}/delete").status_code == 404


def test_two_pictures_in_a_message_are_refused(http: httpx.Client) -> None:
    ids = [upload(http, "image/png").json()["id"] for _ in range(2)]
    assert chat(http, user("?", attachments=ids)).status_code == 422
    assert chat(http, user("?", attachments=ids[:1])).status_code == 200


def test_a_stream_is_as_the_vendor_sends_it(http: httpx.Client) -> None:
    answer = chat(http, user("[[task:s]] привет"), stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    last = json.loads(events[-2])
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"]["total_tokens"] > 0
    assert last["model"].startswith("GigaChat:")


def test_every_answer_has_a_nonce_of_its_own_which_the_log_knows(
    vendor: GigaChatProcess, http: httpx.Client
) -> None:
    words = [
        chat(http, user(f"[[task:n{number}]]")).json()["choices"][0]["message"]["content"]
        for number in range(20)
    ]
    logged = {one.marker: one.nonce for one in vendor.requests() if one.marker.startswith("n")}
    assert len(set(logged.values())) == 20
    for number, text in enumerate(words):
        assert logged[f"n{number}"] in text


def test_a_directive_fixes_the_outcome_and_is_followed_so_often(http: httpx.Client) -> None:
    failing = user("[[task:a]]" + directive(status=500, times=2))
    assert [chat(http, failing).status_code for _ in range(4)] == [500, 500, 200, 200]
    other = user("[[task:b]]" + directive(status=500, times=2))
    assert chat(http, other).status_code == 500, "counted for each task"
    told = directive(answer='{"ответ": [[1]], "nonce": "{nonce}"}', finish="length")
    choice = chat(http, user(told)).json()["choices"][0]
    assert json.loads(choice["message"]["content"])["ответ"] == [[1]]
    assert choice["finish_reason"] == "length"
    plain = chat(http, user('[[standin:answer={"a": 1, "b": 2}]]')).json()["choices"][0]
    assert json.loads(plain["message"]["content"]) == {"a": 1, "b": 2}


def test_an_instruction_that_is_none_is_refused(vendor: GigaChatProcess) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        vendor.tell(fault="unheard_of")
    with pytest.raises(httpx.HTTPStatusError):
        vendor.set(unheard_of=1)


async def test_it_sees_how_much_runs_at_once(vendor: GigaChatProcess, http: httpx.Client) -> None:
    def one(number: int) -> int:
        return chat(http, user(f"[[task:o{number}]]" + directive(delay=0.5))).status_code

    began = time.monotonic()
    assert await asyncio.gather(*(asyncio.to_thread(one, number) for number in range(5))) == [200] * 5
    assert time.monotonic() - began < 3
    seen = [request for request in vendor.requests() if request.marker.startswith("o")]
    assert max(request.active for request in seen) == 5
    assert all(request.ended and request.ended - request.started >= 0.5 for request in seen)
