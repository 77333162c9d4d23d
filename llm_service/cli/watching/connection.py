"""aiokafka's arguments from the settings that librdkafka's clients are made of."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

from llm_service.errors import SettingsInvalid
from llm_service.kafka.config import ConnectionConfig

# Of the deployment's own properties (KAFKA_CONSUMER_EXTRA) those that aiokafka can be told, too.
_CA_PEM, _KEY_PASSWORD = "ssl.ca.pem", "ssl.key.password"
_NAME_CHECK, _VERIFICATION = "ssl.endpoint.identification.algorithm", "enable.ssl.certificate.verification"
_CLIENT_ID = "client.id"
_KNOWN = frozenset({_CA_PEM, _KEY_PASSWORD, _NAME_CHECK, _VERIFICATION})
_SECURITY = ("ssl.", "sasl.", "enable.ssl.", "enable.sasl.")
# librdkafka's word for the authorities of the system.
_PROBE = "probe"
_FALSE = frozenset({"false", "f", "0"})


def client_arguments(connection: ConnectionConfig) -> dict[str, object]:
    """Addresses, TLS and login for an aiokafka client.

    Raises SettingsInvalid for a certificate that can't be used, and for properties of the deployment's own that decide
    about security and that aiokafka has no equal for.
    """
    extra = dict(connection.extra)
    if unknown := sorted(name for name in extra.keys() - _KNOWN if name.startswith(_SECURITY)):
        raise SettingsInvalid(
            f"Statuses can't be watched with {', '.join(unknown)} of KAFKA_CONSUMER_EXTRA: the client that reads them "
            "here has nothing like it"
        )
    protocol = connection.security_protocol.upper()
    servers = [server.strip() for server in connection.bootstrap_servers.split(",")]
    arguments: dict[str, object] = {"bootstrap_servers": servers, "security_protocol": protocol}
    if _CLIENT_ID in extra:
        arguments["client_id"] = extra[_CLIENT_ID]
    if protocol.endswith("SSL"):
        arguments["ssl_context"] = _context(connection, extra)
    if protocol.startswith("SASL_"):
        arguments |= {
            "sasl_mechanism": connection.sasl_mechanism,
            "sasl_plain_username": connection.sasl_username,
            "sasl_plain_password": connection.sasl_password,
        }
    return arguments


def _context(connection: ConnectionConfig, extra: Mapping[str, str]) -> ssl.SSLContext:
    """Verified against the given authorities or the system's; the host's name is checked, as librdkafka does."""
    context = _trusting(connection.ssl_ca_location, extra.get(_CA_PEM))
    if extra.get(_NAME_CHECK, "").lower() == "none":
        context.check_hostname = False
    if extra.get(_VERIFICATION, "").lower() in _FALSE:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = connection.ssl_certificate_location, connection.ssl_key_location
    if certificate and key:
        try:
            # Without a password to give, OpenSSL would wait for one at the terminal.
            context.load_cert_chain(certificate, key, password=lambda: extra.get(_KEY_PASSWORD, ""))
        except (OSError, ValueError) as error:
            raise SettingsInvalid(
                f"KAFKA_SSL_CERTIFICATE_LOCATION={certificate} and KAFKA_SSL_KEY_LOCATION={key} can't be used "
                f"({_reason(error)}): they must be PEM files that belong together"
            ) from error
    return context


def _trusting(location: str | None, pem: str | None) -> ssl.SSLContext:
    trusted = None if location == _PROBE else location
    is_folder = trusted is not None and Path(trusted).is_dir()
    try:
        return ssl.create_default_context(
            cafile=None if is_folder else trusted, capath=trusted if is_folder else None, cadata=pem
        )
    except (OSError, ValueError) as error:
        named = f"KAFKA_SSL_CA_LOCATION={trusted}" if trusted else f"{_CA_PEM} of KAFKA_CONSUMER_EXTRA"
        raise SettingsInvalid(
            f"{named} can't be used ({_reason(error)}): PEM certificates are expected"
        ) from error


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
