from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from llm_service.cli.watching.connection import client_arguments
from llm_service.errors import SettingsInvalid
from llm_service.kafka.config import ConnectionConfig
from tests.standins.certificates import Certificates, make_certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def test_without_security_there_are_only_addresses() -> None:
    assert client_arguments(ConnectionConfig("a:1, b:2")) == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "PLAINTEXT",
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_login_is_passed_on(mechanism: str) -> None:
    connection = ConnectionConfig("a:1", "sasl_plaintext", mechanism, "user", "secret")
    assert client_arguments(connection) == {
        "bootstrap_servers": ["a:1"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "user",
        "sasl_plain_password": "secret",
    }


@pytest.mark.parametrize("protocol", ["ssl", "sasl_ssl"])
def test_tls_verifies_brokers_and_their_names(certificates: Certificates, protocol: str) -> None:
    connection = ConnectionConfig("a:1", protocol, "PLAIN", "u", "p", str(certificates.ca_bundle))
    context = client_arguments(connection)["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1


def test_a_certificate_of_the_client_is_loaded(certificates: Certificates) -> None:
    connection = ConnectionConfig(
        "a:1",
        "ssl",
        ssl_ca_location=str(certificates.ca_bundle),
        ssl_certificate_location=str(certificates.certificate),
        ssl_key_location=str(certificates.key),
    )
    assert "ssl_context" in client_arguments(connection)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_unusable_authority_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    connection = ConnectionConfig("a:1", "ssl", ssl_ca_location=str(tmp_path / "ca.pem"))
    with pytest.raises(SettingsInvalid, match=r"KAFKA_SSL_CA_LOCATION=.*ca\.pem can't be used"):
        client_arguments(connection)


def test_a_key_of_another_certificate_is_named(certificates: Certificates, tmp_path: Path) -> None:
    other = make_certificates(tmp_path)
    connection = ConnectionConfig(
        "a:1",
        "ssl",
        ssl_certificate_location=str(certificates.certificate),
        ssl_key_location=str(other.key),
    )
    with pytest.raises(SettingsInvalid, match="belong together"):
        client_arguments(connection)


def test_what_a_deployment_adds_by_itself_is_passed_on(certificates: Certificates) -> None:
    extra = (
        ("client.id", "mine"),
        ("socket.keepalive.enable", "true"),
        ("ssl.ca.pem", certificates.ca_bundle.read_text()),
        ("ssl.endpoint.identification.algorithm", "none"),
    )
    arguments = client_arguments(ConnectionConfig("a:1", "ssl", extra=extra))
    context = arguments["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert (arguments["client_id"], context.check_hostname) == ("mine", False)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


def test_verification_is_off_only_where_the_deployment_says_so() -> None:
    extra = (("enable.ssl.certificate.verification", "false"),)
    context = client_arguments(ConnectionConfig("a:1", "ssl", extra=extra))["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_NONE


def test_security_that_cannot_be_had_here_is_refused_by_name() -> None:
    extra = (("ssl.keystore.location", "a.p12"), ("ssl.keystore.password", "hidden"))
    with pytest.raises(SettingsInvalid) as refused:
        client_arguments(ConnectionConfig("a:1", "ssl", extra=extra))
    assert "ssl.keystore.location, ssl.keystore.password" in refused.value.message
    assert "hidden" not in refused.value.message
