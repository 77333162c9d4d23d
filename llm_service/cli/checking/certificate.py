"""The certificate that a server shows: whether it is trusted here, who issued it and when it ends."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

HANDSHAKE_S = 3.0

_EXPIRED = 10
_NO_ISSUER = frozenset({18, 19, 20, 21})
"""X509_V_ERR_*: self-signed, self-signed in the chain, no local issuer, no chain to a trusted one."""
_OTHER_NAME = frozenset({62, 64})


@dataclass(frozen=True, slots=True)
class Distrust:
    """Why a certificate is not trusted."""

    reason: str
    """OpenSSL's words."""
    expired: bool
    unknown_issuer: bool
    other_name: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate as the server shows it."""

    issuer: str
    """Empty where it could not be read."""
    ends_at: datetime | None
    """Aware; None where it could not be read, as of one that has ended."""
    distrust: Distrust | None
    """None where it is trusted, and where trust was not asked for."""


async def look_at(host: str, port: int, context: ssl.SSLContext, asks: bytes = b"") -> Shown:
    """Shake hands as ``context`` says, and see what is shown there. ``asks``: PostgreSQL's way, see ``Trust``.

    Raises ssl.SSLError where no TLS is spoken, OSError and TimeoutError where nobody answers.
    """
    distrust: Distrust | None = None
    if context.verify_mode is not ssl.CERT_NONE:
        try:
            found, _ = await _shaken(host, port, context, asks)
        except ssl.SSLCertVerificationError as error:
            distrust = _why(error)
        else:
            return _shown(found, None)
    try:
        return _shown(await _unverified(host, port, asks), distrust)
    except ssl.SSLCertVerificationError:
        # An ended one can't be read out even so.
        return Shown("", None, distrust)


async def _unverified(host: str, port: int, asks: bytes) -> Mapping[str, Any]:
    """What a certificate says that nobody here vouches for.

    ``ssl`` reads out only certificates that it has verified, so the server's own is taken as what to trust: once to
    have its bytes, once to have it read.
    """
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    _, encoded = await _shaken(host, port, blind, asks)
    pinned = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    pinned.check_hostname = False
    pinned.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    pinned.load_verify_locations(cadata=encoded)
    return (await _shaken(host, port, pinned, asks))[0]


async def _shaken(
    host: str, port: int, context: ssl.SSLContext, asks: bytes
) -> tuple[Mapping[str, Any], bytes]:
    """The certificate read out (empty unless verified) and as it came."""
    async with asyncio.timeout(HANDSHAKE_S):
        writer = await (_upgraded(host, port, context, asks) if asks else _begun(host, port, context))
    try:
        shaken: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return shaken.getpeercert() or {}, shaken.getpeercert(binary_form=True) or b""
    finally:
        # Not its close(): that one says goodbye and waits for the answer, and all is known already.
        writer.transport.abort()


async def _begun(host: str, port: int, context: ssl.SSLContext) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection(
        host, port, ssl=context, server_hostname=host, ssl_handshake_timeout=HANDSHAKE_S
    )
    return writer


async def _upgraded(host: str, port: int, context: ssl.SSLContext, asks: bytes) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(asks)
        if await reader.read(1) != b"S":
            raise ssl.SSLError("TLS was asked for and is not offered")
        await writer.start_tls(context, server_hostname=host, ssl_handshake_timeout=HANDSHAKE_S)
    except BaseException:
        writer.transport.abort()
        raise
    return writer


def _shown(found: Mapping[str, Any], distrust: Distrust | None) -> Shown:
    ends = found.get("notAfter")
    ends_at = datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if ends else None
    return Shown(_name(found.get("issuer", ())), ends_at, distrust)


def _name(distinguished: Iterable[Iterable[tuple[str, str]]]) -> str:
    parts = {key: value for relative in distinguished for key, value in relative}
    return parts.get("commonName") or parts.get("organizationName") or ""


def _why(error: ssl.SSLCertVerificationError) -> Distrust:
    code = error.verify_code
    return Distrust(error.verify_message, code == _EXPIRED, code in _NO_ISSUER, code in _OTHER_NAME)
