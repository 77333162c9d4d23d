"""aiokafka's arguments from the settings that librdkafka's clients are made of."""

from __future__ import annotations

import ssl
from pathlib import Path

from llm_service.errors import SettingsInvalid
from llm_service.kafka.config import ConnectionConfig


def client_arguments(connection: ConnectionConfig) -> dict[str, object]:
    """Addresses, TLS and login for an aiokafka client. Raises SettingsInvalid for a certificate that can't be used."""
    protocol = connection.security_protocol.upper()
    servers = [server.strip() for server in connection.bootstrap_servers.split(",")]
    arguments: dict[str, object] = {"bootstrap_servers": servers, "security_protocol": protocol}
    if protocol.endswith("SSL"):
        arguments["ssl_context"] = _context(connection)
    if protocol.startswith("SASL_"):
        arguments |= {
            "sasl_mechanism": connection.sasl_mechanism,
            "sasl_plain_username": connection.sasl_username,
            "sasl_plain_password": connection.sasl_password,
        }
    return arguments


def _context(connection: ConnectionConfig) -> ssl.SSLContext:
    """Verified against the given authorities or the system's; the host's name is checked, as librdkafka does."""
    trusted = connection.ssl_ca_location
    try:
        is_folder = trusted is not None and Path(trusted).is_dir()
        context = ssl.create_default_context(
            cafile=None if is_folder else trusted, capath=trusted if is_folder else None
        )
    except (OSError, ValueError) as error:
        raise SettingsInvalid(
            f"KAFKA_SSL_CA_LOCATION={trusted} can't be used ({_reason(error)}): "
            "it must be a PEM file of certificates"
        ) from error
    if connection.ssl_certificate_location and connection.ssl_key_location:
        try:
            context.load_cert_chain(
                # Asked for a password, OpenSSL would wait at the terminal; there is no setting for one.
                connection.ssl_certificate_location,
                connection.ssl_key_location,
                password=lambda: "",
            )
        except (OSError, ValueError) as error:
            raise SettingsInvalid(
                f"KAFKA_SSL_CERTIFICATE_LOCATION={connection.ssl_certificate_location} and KAFKA_SSL_KEY_LOCATION="
                f"{connection.ssl_key_location} can't be used ({_reason(error)}): they must be PEM files that belong "
                "together, the key without a password"
            ) from error
    return context


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
