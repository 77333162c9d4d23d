"""``check gigachat`` against its stand-in over TLS: every cause is named, no secret is."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from llm_service.cli.checking.finding import Verdict
from llm_service.cli.checking.gigachat import probe
from tests.integration.checked import Checked, checked, silent
from tests.services.ports import free_port
from tests.standins.process import GigaChatProcess, gigachat

WRONG_KEY = base64.b64encode(b"8f3c1d9e-0000-4000-8000-000000000000:canary-secret").decode()
BEARER = "eyJjdHkiOiJqd3QifQ.canary.bearer"
HOST = "certificate 127.0.0.1"
LONG = timedelta(days=90)


@pytest.fixture(scope="module")
def vendor() -> Iterator[GigaChatProcess]:
    with gigachat(certificate_ends_in=LONG) as running:
        yield running


@pytest.fixture
def values(vendor: GigaChatProcess) -> dict[str, str]:
    """Settings that are all right, and a vendor with nothing special."""
    vendor.forget()
    vendor.set(token_form="access_token", clock_ahead_s=0, balance=None, tokens_a_second=1000)
    return values_of(vendor)


def values_of(vendor: GigaChatProcess) -> dict[str, str]:
    return {
        "GIGACHAT_ACCESS_TOKEN": vendor.authorization_key,
        "GIGACHAT_SCOPE": vendor.scope,
        "GIGACHAT_CA_BUNDLE": str(vendor.ca_bundle),
        "BASE_URL": vendor.base_url,
        "OAUTH_URL": vendor.oauth_url,
    }


async def test_an_account_that_is_all_right(values: Mapping[str, str], vendor: GigaChatProcess) -> None:
    found = await checked(probe, values)
    assert set(found.verdicts().values()) == {Verdict.OK}, found.text()
    assert (
        found.about("model").seen
        == "GigaChat is one of the account's 3: GigaChat, GigaChat-Pro, GigaChat-Max"
    )
    certificate = found.about(HOST)
    assert "89 days, issued by 'Stand-in authority'" in certificate.seen
    assert certificate.seconds is not None
    assert "pays as it goes" in found.about("balance").seen
    assert not vendor.requests("chat"), "nothing that costs"


@pytest.mark.parametrize("form", ["access_token", "tok"])
async def test_the_token_is_valid_for_half_an_hour_in_both_forms(
    values: Mapping[str, str], vendor: GigaChatProcess, form: str
) -> None:
    vendor.set(token_form=form)
    token = (await checked(probe, values)).about("token")
    assert token.verdict is Verdict.OK
    assert token.seen.endswith("UTC, 30 min")
    assert token.seconds is not None


@pytest.mark.parametrize(
    ("ahead_s", "way"), [(-4000, "ahead of the vendor's"), (4000, "behind the vendor's")]
)
async def test_a_clock_that_is_wrong_is_seen_by_the_token(
    values: Mapping[str, str], vendor: GigaChatProcess, ahead_s: float, way: str
) -> None:
    vendor.set(clock_ahead_s=ahead_s)
    token = (await checked(probe, values)).about("token")
    assert token.verdict is Verdict.WARNING
    assert way in token.seen
    assert "NTP" in str(token.remedy)


async def test_without_a_key_it_is_not_used() -> None:
    found = await checked(probe, {})
    assert set(found.verdicts().values()) == {Verdict.SKIPPED}


async def test_a_wrong_key(values: dict[str, str]) -> None:
    failed = (await checked(probe, values | {"GIGACHAT_ACCESS_TOKEN": WRONG_KEY})).failed()
    assert failed.subject == "token"
    assert "does not know this key" in failed.seen
    assert "new authorization key" in str(failed.remedy)


async def test_a_wrong_scope_and_which_one_is_right(values: dict[str, str]) -> None:
    failed = (await checked(probe, values | {"GIGACHAT_SCOPE": "GIGACHAT_API_PERS"})).failed()
    assert failed.seen == "the account has GIGACHAT_API_CORP, not GIGACHAT_API_PERS"
    assert failed.remedy == "Set GIGACHAT_SCOPE=GIGACHAT_API_CORP."


async def test_no_scope_that_is_right(values: dict[str, str], vendor: GigaChatProcess) -> None:
    vendor.tell(kind="oauth", status=400)
    failed = (await checked(probe, values)).failed()
    assert "every other scope" in failed.seen


async def test_a_bearer_instead_of_a_key(values: dict[str, str]) -> None:
    found = await checked(probe, values | {"GIGACHAT_ACCESS_TOKEN": BEARER})
    key = found.about("key")
    assert key.verdict is Verdict.WARNING
    assert "bearer token" in key.seen
    assert "Base64 of id:secret" in str(key.remedy)
    assert "HTTP 401" in found.failed().seen, "and this one has ended"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("your_token_here", "neither an authorization key nor a token"),
        ("8f3c1d9e-0000-4000-8000-5a6b7c8d9e0f", "an id or a secret alone"),
    ],
)
async def test_neither_key_nor_bearer_is_not_sent_anywhere(
    values: dict[str, str], vendor: GigaChatProcess, text: str, seen: str
) -> None:
    before = len(vendor.requests(""))
    failed = (await checked(probe, values | {"GIGACHAT_ACCESS_TOKEN": text})).failed()
    assert seen in failed.seen
    assert len(vendor.requests("")) == before


async def test_the_russian_root_is_missing(values: dict[str, str], vendor: GigaChatProcess) -> None:
    before = len(vendor.requests(""))
    found = await checked(probe, {**values, "GIGACHAT_CA_BUNDLE": ""})
    failed = found.failed()
    assert failed.subject == HOST
    assert "not trusted, issued by 'Stand-in authority'" in failed.seen
    assert "GIGACHAT_CA_BUNDLE is not set" in failed.seen
    assert "Set GIGACHAT_CA_BUNDLE to a file with the Russian Trusted Root CA" in str(failed.remedy)
    assert found.about("token").verdict is Verdict.SKIPPED
    assert len(vendor.requests("")) == before, "the key goes to nobody who is not trusted"


async def test_a_bundle_of_somebody_else(values: dict[str, str], tmp_path: Path) -> None:
    with gigachat(folder=tmp_path) as other:
        failed = (await checked(probe, values | {"GIGACHAT_CA_BUNDLE": str(other.ca_bundle)})).failed()
    assert "does not hold its issuer" in failed.seen


async def test_a_bundle_that_is_none(values: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    failed = (await checked(probe, values | {"GIGACHAT_CA_BUNDLE": str(tmp_path / "ca.pem")})).failed()
    assert "can't be read as certificates" in failed.seen


async def test_verification_that_is_off_is_warned_of(values: dict[str, str]) -> None:
    found = await checked(probe, values | {"GIGACHAT_VERIFY_SSL": "False", "GIGACHAT_CA_BUNDLE": ""})
    verification = found.about("TLS verification")
    assert verification.verdict is Verdict.WARNING
    assert "GIGACHAT_CA_BUNDLE" in str(verification.remedy)
    assert "89 days" in found.about(HOST).seen, "and its end is read all the same"
    assert found.about("model").verdict is Verdict.OK


async def certificate(tmp_path: Path, ends_in: timedelta, **more: str) -> Checked:
    with gigachat(folder=tmp_path, certificate_ends_in=ends_in) as vendor:
        return await checked(probe, {**values_of(vendor), **more})


async def test_a_certificate_that_ends_soon(tmp_path: Path) -> None:
    found = (await certificate(tmp_path, timedelta(days=20))).about(HOST)
    assert found.verdict is Verdict.WARNING
    assert "19 days" in found.seen


async def test_a_certificate_that_has_ended(tmp_path: Path) -> None:
    found = await certificate(tmp_path, timedelta(hours=-1))
    assert found.failed().subject == HOST
    assert "expired" in found.failed().seen
    assert "clock" in str(found.failed().remedy)


async def test_a_certificate_for_another_host(values: dict[str, str], vendor: GigaChatProcess) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = vendor.ca_bundle.parent
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    # All of 127.0.0.0/8 is this machine, and the certificate is for 127.0.0.1.
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.2", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        failed = (await checked(probe, values | {"BASE_URL": f"https://127.0.0.2:{port}"})).failed()
    assert failed.subject == "certificate 127.0.0.2"
    assert "another host" in failed.seen


@pytest.mark.parametrize("setting", ["BASE_URL", "OAUTH_URL"])
async def test_a_host_that_nobody_knows(values: dict[str, str], setting: str) -> None:
    failed = (await checked(probe, values | {setting: "https://nobody.invalid/x"})).failed()
    assert failed.subject == f"connection ({setting})"
    assert "'nobody.invalid' is not known here" in failed.seen
    assert setting in str(failed.remedy)


async def test_a_host_that_refuses(values: dict[str, str]) -> None:
    failed = (await checked(probe, values | {"BASE_URL": f"https://127.0.0.1:{free_port()}"})).failed()
    assert "refuses connections" in failed.seen


async def test_a_host_that_is_silent_before_tls(values: dict[str, str]) -> None:
    async with silent() as port:
        failed = (await checked(probe, values | {"BASE_URL": f"https://127.0.0.1:{port}"})).failed()
    assert "before TLS begins" in failed.seen


async def test_a_token_server_that_is_silent(values: dict[str, str], vendor: GigaChatProcess) -> None:
    vendor.tell(kind="oauth", silence=30)
    failed = (await checked(probe, values)).failed()
    assert failed.subject == "token"
    assert "silent" in failed.seen


async def test_a_wrong_path(values: dict[str, str]) -> None:
    failed = (await checked(probe, values | {"API_VERSION": "v7"})).failed()
    assert failed.subject == "model"
    assert "API_VERSION" in str(failed.remedy)


async def test_a_model_that_the_account_does_not_have(values: dict[str, str]) -> None:
    failed = (await checked(probe, values | {"GIGACHAT_MODEL": "GigaChat-9"})).failed()
    assert failed.seen == "the account has no 'GigaChat-9'; it has GigaChat, GigaChat-Pro, GigaChat-Max"
    assert "GIGACHAT_MODEL" in str(failed.remedy)


@pytest.mark.parametrize(("balance", "verdict"), [([0.0], Verdict.FAILED), ([5000.0], Verdict.OK)])
async def test_tokens_that_are_left(
    values: dict[str, str], vendor: GigaChatProcess, balance: list[float], verdict: Verdict
) -> None:
    vendor.set(balance=balance)
    found = (await checked(probe, values)).about("balance")
    assert found.verdict is verdict
    assert f"GigaChat {balance[0]:,.0f}" in found.seen


async def test_an_account_that_is_not_paid(values: dict[str, str], vendor: GigaChatProcess) -> None:
    vendor.tell(kind="models", status=402)
    failed = (await checked(probe, values)).failed()
    assert "HTTP 402" in failed.seen
    assert "paid" in str(failed.remedy)


@pytest.mark.parametrize("kind", ["oauth", "models"])
async def test_an_account_that_asks_too_often(
    values: dict[str, str], vendor: GigaChatProcess, kind: str
) -> None:
    vendor.tell(kind=kind, status=429)
    found = (await checked(probe, values)).about("token" if kind == "oauth" else "model")
    assert found.verdict is Verdict.WARNING
    assert "come later" in found.seen
    assert "GIGACHAT_MAX_CONCURRENT" in str(found.remedy)


async def test_a_careless_vendor_that_echoes_the_key(values: dict[str, str], vendor: GigaChatProcess) -> None:
    vendor.tell(kind="models", status=500, leak=True)
    failed = (await checked(probe, values)).failed()
    assert "Bearer ***" in failed.seen
