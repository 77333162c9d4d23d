"""What is GigaChat's alone: its token, its files, its ends of an answer, its TLS, and an environment without a say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from llm_service.errors import (
    ContentFiltered,
    ProviderAccountError,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderRateLimited,
    ProviderServerError,
    ProviderUnavailable,
    SettingsInvalid,
)
from llm_service.providers.protocol import CompletionRequest, Document, Message, Parameters, Provider
from tests.contract.provider_benches import IMPATIENT, Bench, bench
from tests.standins.process import GigaChatProcess

ASK = CompletionRequest((Message("system", "Система"), Message("user", "Вопрос [[task:one]]")), nonce="n")


@pytest.fixture(scope="module")
def shared() -> Iterator[Bench]:
    with bench("gigachat_standin") as found:
        yield found


@pytest_asyncio.fixture
async def vendor(shared: Bench) -> AsyncIterator[Bench]:
    yield shared
    for provider in shared.made:
        await provider.close()
    shared.made.clear()
    shared.vendor.forget()
    shared.vendor.set(
        token_form="access_token", clock_ahead_s=0, token_life_s=1800, balance=None, tokens_a_second=1000
    )


@pytest.fixture
def letter(tmp_path: Path) -> Document:
    path = tmp_path / "letter"
    path.write_text("Письмо [[task:letter]]", encoding="utf-8")
    return Document("письмо №1.txt", "text/plain", path=path, size=path.stat().st_size)


def count(vendor: Bench, kind: str) -> int:
    total: Any = vendor.vendor.state()["total"]
    return int(total.get(kind, 0))


def stored(vendor: Bench) -> Any:
    return vendor.vendor.state()["files"]


async def answered(provider: Provider, *documents: Document) -> str:
    request = CompletionRequest(ASK.messages, documents=documents, nonce="n")
    return (await provider.complete(request)).text


class TestToken:
    async def test_fifty_calls_at_once_ask_for_one(self, vendor: Bench) -> None:
        before = count(vendor, "oauth")
        provider = vendor.provider()
        await asyncio.gather(*(answered(provider) for _ in range(50)))
        assert count(vendor, "oauth") == before + 1
        asked = vendor.vendor.requests("oauth")[-1]
        assert asked.headers["rquid"]
        assert asked.headers["authorization"].startswith("Basic ")
        assert asked.body == "scope=GIGACHAT_API_CORP"

    async def test_the_form_in_seconds_is_kept_as_long(self, vendor: Bench) -> None:
        vendor.vendor.set(token_form="tok")
        provider, before = vendor.provider(), count(vendor, "oauth")
        for _ in range(3):
            await answered(provider)
        assert count(vendor, "oauth") == before + 1

    @pytest.mark.parametrize("ahead", [-7200, 7200])
    async def test_a_vendor_with_another_clock_is_asked_once(self, vendor: Bench, ahead: int) -> None:
        vendor.vendor.set(clock_ahead_s=ahead)
        provider, before = vendor.provider(), count(vendor, "oauth")
        for _ in range(3):
            await answered(provider)
        assert count(vendor, "oauth") == before + 1

    async def test_a_revoked_one_is_renewed_once_and_every_call_answered(self, vendor: Bench) -> None:
        provider = vendor.provider()
        await answered(provider)
        before = count(vendor, "oauth")
        vendor.vendor.set(tokens_alive=False)
        await asyncio.gather(*(answered(provider) for _ in range(30)))
        assert count(vendor, "oauth") == before + 1

    async def test_a_call_refused_again_with_a_new_one_is_made_twice_and_no_more(self, vendor: Bench) -> None:
        provider = vendor.provider()
        await answered(provider)
        chats, tokens = count(vendor, "chat"), count(vendor, "oauth")
        vendor.vendor.tell(status=401)
        with pytest.raises(ProviderAccountError, match="401"):
            await answered(provider)
        assert (count(vendor, "chat"), count(vendor, "oauth")) == (chats + 2, tokens + 1)

    async def test_one_that_ended_is_replaced_before_it_is_refused(self, vendor: Bench) -> None:
        vendor.vendor.set(token_life_s=1.0)
        provider = vendor.provider()
        await answered(provider)
        await asyncio.sleep(1.0)
        refused = len([one for one in vendor.vendor.requests("chat") if one.status == 401])
        await answered(provider)
        assert len([one for one in vendor.vendor.requests("chat") if one.status == 401]) == refused

    @pytest.mark.parametrize(
        ("behaviour", "kind"),
        [
            ({"status": 401}, ProviderAccountError),
            ({"status": 400}, ProviderAccountError),
            ({"status": 404}, ProviderAccountError),
            ({"status": 429, "retry_after": "3"}, ProviderRateLimited),
            ({"status": 500}, ProviderUnavailable),
            ({"status": 503}, ProviderUnavailable),
            ({"silence": 30}, ProviderUnavailable),
        ],
        ids=str,
    )
    async def test_without_one_nothing_is_spent(
        self, vendor: Bench, behaviour: dict[str, Any], kind: type[ProviderError]
    ) -> None:
        vendor.vendor.tell(kind="oauth", leak=True, **behaviour)
        with pytest.raises(kind) as raised:
            await answered(vendor.provider(**({} if "status" in behaviour else IMPATIENT)))
        assert not raised.value.spent
        assert vendor.secrets[0] not in raised.value.message
        assert raised.value.retry_after == (3 if "retry_after" in behaviour else None)

    async def test_a_wrong_key_and_a_wrong_scope_are_the_accounts_fault(self, vendor: Bench) -> None:
        for wrong in ({"access_token": "aWQ6c2VjcmV0"}, {"scope": "GIGACHAT_API_PERS"}):
            with pytest.raises(ProviderAccountError, match="GIGACHAT_ACCESS_TOKEN"):
                await answered(vendor.provider(**wrong))

    async def test_a_bearer_is_used_as_it_is_and_not_renewed(self, vendor: Bench) -> None:
        bearer = _bearer(vendor)
        before = count(vendor, "oauth")
        provider = vendor.provider(access_token=bearer)
        assert await answered(provider)
        vendor.vendor.set(tokens_alive=False)
        with pytest.raises(ProviderAccountError, match="authorization key"):
            await answered(provider)
        assert count(vendor, "oauth") == before


class TestFiles:
    async def test_a_document_is_uploaded_asked_about_and_deleted(
        self, vendor: Bench, letter: Document
    ) -> None:
        text = await answered(vendor.provider(), letter)
        assert "letter" in text or "one" in text
        chat = vendor.vendor.requests("chat")[-1]
        assert len(json.loads(chat.body)["messages"][-1]["attachments"]) == 1
        upload = vendor.vendor.requests("upload")[-1]
        assert upload.status == 200
        assert "письмо №1.llm-service.txt" in upload.body
        assert stored(vendor) == []

    @pytest.mark.parametrize("behaviour", [{"status": 500}, {"cut": True}, {"silence": 30}], ids=str)
    async def test_it_is_deleted_when_the_chat_fails(
        self, vendor: Bench, letter: Document, behaviour: dict[str, Any]
    ) -> None:
        vendor.vendor.tell(**behaviour)
        with pytest.raises(ProviderError):
            await answered(vendor.provider(request_timeout_seconds=1.0), letter)
        assert vendor.vendor.requests("upload")[-1].status == 200
        assert stored(vendor) == []

    async def test_it_is_deleted_when_the_chat_is_cancelled(self, vendor: Bench, letter: Document) -> None:
        vendor.vendor.tell(delay=30)
        call = asyncio.create_task(answered(vendor.provider(), letter))
        await _until(vendor, "chat")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert stored(vendor) == []

    async def test_it_is_deleted_when_the_call_is_cancelled_while_the_vendor_stores_it(
        self, vendor: Bench, letter: Document
    ) -> None:
        vendor.vendor.tell(kind="upload", delay=0.5)
        call = asyncio.create_task(answered(vendor.provider(), letter))
        await _until(vendor, "upload")
        before: Any = vendor.vendor.state()["stored"]
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert vendor.vendor.state()["stored"] == before + 1
        assert stored(vendor) == []

    async def test_the_first_is_deleted_when_the_second_is_refused(
        self, vendor: Bench, letter: Document, tmp_path: Path
    ) -> None:
        other = tmp_path / "other"
        other.write_text("[[standin:status=413]]")
        second = Document("b.txt", "text/plain", path=other, size=other.stat().st_size)
        with pytest.raises(ProviderError, match=r"b\.txt"):
            await answered(vendor.provider(), letter, second)
        assert stored(vendor) == []

    async def test_deleting_is_tried_again(self, vendor: Bench, letter: Document) -> None:
        vendor.vendor.tell(kind="delete", status=500, times=1)
        await answered(vendor.provider(), letter)
        assert stored(vendor) == []

    async def test_a_file_that_can_not_be_deleted_costs_no_answer(
        self, vendor: Bench, letter: Document
    ) -> None:
        vendor.vendor.tell(kind="delete", status=404)
        assert await answered(vendor.provider(), letter)

    async def test_a_revoked_token_in_mid_upload_sends_the_file_again_whole(
        self, vendor: Bench, letter: Document
    ) -> None:
        provider = vendor.provider()
        await answered(provider)
        vendor.vendor.set(tokens_alive=False)
        assert await answered(provider, letter)
        assert "[[task:letter]]" in vendor.vendor.requests("upload")[-1].body


class TestEnds:
    @pytest.mark.parametrize(
        ("finish", "kind"),
        [
            ("blacklist", ContentFiltered),
            ("error", ProviderServerError),
            ("function_call", ProviderAnswerInvalid),
        ],
    )
    async def test_an_end_that_is_no_answer(
        self, vendor: Bench, finish: str, kind: type[ProviderError]
    ) -> None:
        vendor.vendor.tell(finish=finish)
        with pytest.raises(kind):
            await answered(vendor.provider())

    async def test_a_page_of_html_is_no_answer(self, vendor: Bench) -> None:
        vendor.vendor.tell(badtype=True)
        with pytest.raises(ProviderAnswerInvalid):
            await answered(vendor.provider())

    async def test_a_stop_sequence_is_kept(self, vendor: Bench) -> None:
        vendor.vendor.tell(answer="один КОНЕЦ два")
        request = CompletionRequest(ASK.messages, parameters=Parameters(stop=("КОНЕЦ",)))
        assert (await vendor.provider().complete(request)).text == "один "


class TestHealth:
    @pytest.mark.parametrize("balance", [None, [0, 10], [5.5], []])
    async def test_an_account_that_can_answer(self, vendor: Bench, balance: object) -> None:
        vendor.vendor.set(balance=balance)
        await vendor.provider().health()

    async def test_no_money_left(self, vendor: Bench) -> None:
        vendor.vendor.set(balance=[0, 0])
        with pytest.raises(ProviderAccountError, match="balance"):
            await vendor.provider().health()

    async def test_a_balance_that_is_away_stops_nothing(self, vendor: Bench) -> None:
        vendor.vendor.tell(kind="balance", status=500)
        await vendor.provider().health()

    async def test_models_that_are_away(self, vendor: Bench) -> None:
        vendor.vendor.tell(kind="models", status=503)
        with pytest.raises(ProviderUnavailable):
            await vendor.provider().health()


class TestTls:
    async def test_an_unknown_authority_is_not_trusted(self, vendor: Bench) -> None:
        before = count(vendor, "oauth")
        with pytest.raises(ProviderUnavailable, match="certificate"):
            await answered(vendor.provider(ca_bundle=None))
        assert count(vendor, "oauth") == before, "the key was not sent"

    async def test_verification_can_be_switched_off_on_purpose_only(self, vendor: Bench) -> None:
        assert await answered(vendor.provider(ca_bundle=None, verify_ssl=False))

    def test_a_bundle_that_is_none_is_said_at_start(self, vendor: Bench, tmp_path: Path) -> None:
        broken = tmp_path / "broken.pem"
        broken.write_text("no certificate")
        for path in (broken, tmp_path / "missing.pem"):
            with pytest.raises(SettingsInvalid, match="GIGACHAT_CA_BUNDLE"):
                vendor.provider(ca_bundle=str(path))


async def test_the_environment_decides_nothing(
    vendor: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hostile = {
        "GIGACHAT_BASE_URL": "https://127.0.0.1:1",
        "GIGACHAT_AUTH_URL": "https://127.0.0.1:1",
        "GIGACHAT_CREDENTIALS": "aWQ6c2VjcmV0",
        "GIGACHAT_ACCESS_TOKEN": "from-the-environment",
        "GIGACHAT_USER": "user",
        "GIGACHAT_PASSWORD": "password",
        "GIGACHAT_SCOPE": "WRONG",
        "GIGACHAT_MODEL": "no-such-model",
        "GIGACHAT_TIMEOUT": "0.0001",
        "GIGACHAT_VERIFY_SSL_CERTS": "false",
        "GIGACHAT_CA_BUNDLE_FILE": "/nowhere.pem",
        "GIGACHAT_CERT_FILE": "/nowhere.pem",
        "GIGACHAT_MAX_RETRIES": "9",
        "GIGACHAT_PROFANITY_CHECK": "false",
        "GIGACHAT_FLAGS": "no json",
        "GIGACHAT_TOKEN_EXPIRY_BUFFER_MS": "99999999",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "ALL_PROXY": "http://127.0.0.1:1",
        "SSL_CERT_FILE": "/nowhere.pem",
    }
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in hostile.items()))
    monkeypatch.chdir(tmp_path)
    provider, before = vendor.provider(), count(vendor, "oauth")
    assert await answered(provider)
    chat = vendor.vendor.requests("chat")[-1]
    assert set(json.loads(chat.body)) == {"model", "messages", "stream"}
    assert json.loads(chat.body)["model"] == "GigaChat"
    assert count(vendor, "oauth") == before + 1
    with pytest.raises(ProviderUnavailable, match="certificate"):
        await answered(vendor.provider(ca_bundle=None))


def _bearer(vendor: Bench) -> str:
    process = vendor.vendor
    assert isinstance(process, GigaChatProcess)
    headers = {
        "Authorization": f"Basic {process.authorization_key}",
        "RqUID": "8f3c1d9e-0000-4000-8000-5a6b7c8d9e0f",
    }
    context = httpx.create_ssl_context(verify=False)
    answer = httpx.post(process.oauth_url, data={"scope": process.scope}, headers=headers, verify=context)
    return str(answer.json()["access_token"])


async def _until(vendor: Bench, kind: str, limit_s: float = 5.0) -> None:
    async with asyncio.timeout(limit_s):
        while not any(not one.ended for one in vendor.vendor.requests(kind)):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
