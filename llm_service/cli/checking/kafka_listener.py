"""One listener of a broker: does Kafka answer there, in the protocol and with the login that the settings say?"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from llm_service.cli.checking.address import Address, Unreached, reach
from llm_service.cli.checking.collection import Collection
from llm_service.cli.checking.trust import NoTls, Trust, look_at_certificate
from llm_service.kafka.handshake import Greeting, NotKafka, greet
from llm_service.resilience.clock import Clock

BOOTSTRAP = "KAFKA_BOOTSTRAP_SERVERS"
# A broker answers in milliseconds; with connecting and looking for the reason, all of it stays within 8 s.
_GREET_S = 2.0
_EXPLAIN_S = 1.0
_ASKS_FOR_CERTIFICATE = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "HANDSHAKE_FAILURE")


@dataclass(frozen=True, slots=True)
class Manner:
    """How the settings say that brokers are spoken to."""

    protocol: str
    """plaintext, ssl, sasl_plaintext, sasl_ssl."""
    mechanism: str | None
    trust: Trust | None
    """None without TLS."""

    @property
    def logs_in(self) -> bool:
        return self.protocol.startswith("sasl_")


async def look_at_listener(
    address: Address, manner: Manner, clock: Clock, found: Collection
) -> tuple[Greeting, float]:
    """What it says of itself, and how many seconds connecting took; of its certificate a finding is added.

    Raises Unreached for whatever keeps clients with these settings out.
    """
    seconds = await reach(address, clock)
    try:
        if manner.trust is not None:
            await look_at_certificate(address, manner.trust, clock, found)
        greeting = await _greeting(address, manner.trust.context if manner.trust else None, manner.mechanism)
    except ssl.SSLError as error:
        raise _refused_by_tls(address, error) from error
    except (NoTls, NotKafka, OSError, TimeoutError):
        raise await _explained(address, manner) from None
    _fits(address, greeting, manner)
    return greeting, seconds


async def _greeting(
    address: Address, tls: ssl.SSLContext | None, mechanism: str | None, limit_s: float = _GREET_S
) -> Greeting:
    async with asyncio.timeout(limit_s):
        return await greet(address.host, address.port, tls, mechanism or "")


def _fits(address: Address, greeting: Greeting, manner: Manner) -> None:
    """The login that is asked for there is the one of the settings. Raises Unreached."""
    tls = manner.trust is not None
    if greeting.mechanisms is None and manner.logs_in:
        raise Unreached(
            f"{address} asks for no login, and KAFKA_SECURITY_PROTOCOL={manner.protocol} wants one",
            f"Set KAFKA_SECURITY_PROTOCOL={'ssl' if tls else 'plaintext'} without KAFKA_SASL_…, "
            f"or correct {address.settings}: listeners with a login have a port of their own.",
        )
    if greeting.mechanisms is not None and not manner.logs_in:
        raise Unreached(
            f"{address} asks for a login ({', '.join(greeting.mechanisms)})",
            f"Set KAFKA_SECURITY_PROTOCOL={'sasl_ssl' if tls else 'sasl_plaintext'}, KAFKA_SASL_MECHANISM, "
            "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD.",
        )
    if greeting.mechanisms is not None and manner.mechanism not in greeting.mechanisms:
        offered = ", ".join(greeting.mechanisms)
        raise Unreached(
            f"{address} offers the login mechanisms {offered}, not {manner.mechanism}",
            f"Set KAFKA_SASL_MECHANISM to one of {offered}.",
        )


async def _explained(address: Address, manner: Manner) -> Unreached:
    """Why nobody there answers as a broker: asked in the ways that the settings do not say."""
    other = None if manner.trust is not None else _blind()
    try:
        greeting = await _greeting(address, other, None, _EXPLAIN_S)
    except (NotKafka, OSError, TimeoutError):
        return await _stranger(address)
    login = "" if greeting.mechanisms is None else "sasl_"
    if other is None:
        return Unreached(
            f"the broker at {address} speaks no TLS, and KAFKA_SECURITY_PROTOCOL={manner.protocol} wants it",
            f"Set KAFKA_SECURITY_PROTOCOL={login}plaintext, or name the TLS listener in {address.settings}.",
        )
    return Unreached(
        f"the broker at {address} speaks TLS, and KAFKA_SECURITY_PROTOCOL={manner.protocol} is without",
        f"Set KAFKA_SECURITY_PROTOCOL={login}ssl, or name the listener without TLS in {address.settings}.",
    )


async def _stranger(address: Address) -> Unreached:
    what = "an HTTP server" if await _speaks_http(address) else "something that is no Kafka broker"
    return Unreached(
        f"what answers at {address} is {what}",
        f"Correct {address.settings}: brokers commonly listen on 9092, their TLS listeners on 9093.",
    )


async def _speaks_http(address: Address) -> bool:
    try:
        async with asyncio.timeout(_EXPLAIN_S):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            try:
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                return (await reader.read(5)) == b"HTTP/"
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return False


def _refused_by_tls(address: Address, error: ssl.SSLError) -> Unreached:
    reason = str(error.reason or error)
    if any(word in reason for word in _ASKS_FOR_CERTIFICATE):
        return Unreached(
            f"{address} asks for a client certificate, or refuses the one it is shown ({reason})",
            "Set KAFKA_SSL_CERTIFICATE_LOCATION and KAFKA_SSL_KEY_LOCATION to one that the brokers trust.",
        )
    return Unreached(
        f"{address} breaks off TLS ({reason})", f"Look at the brokers' log, or correct {address.settings}."
    )


def _blind() -> ssl.SSLContext:
    """Nothing is sent over it but the question what is there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
