"""The object store: there, S3, the keys good, the clocks together, the buckets ours to read and write."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import certifi

from llm_service.cli.checking.address import Address, Unreached, reach
from llm_service.cli.checking.certificate import look_at
from llm_service.cli.checking.collection import Collection
from llm_service.cli.checking.finding import Finding
from llm_service.cli.checking.minio_bucket import Buckets
from llm_service.cli.checking.storage_folder import look_at_folder
from llm_service.cli.checking.trust import NoTls, Trust, look_at_certificate
from llm_service.container.files import minio_connection
from llm_service.files.bucket_probe import BucketProbe, S3Greeting, S3Silent
from llm_service.files.minio_store import MinioConnection
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings

_SETTING = "MINIO_ENDPOINT"
_CONNECT_S = 3.0
# What answers does so in milliseconds; longer than this is longer than anyone who asks this question waits.
_READ_S = 4.0
# S3 refuses requests signed 15 minutes off; a third of that is no accident any more.
_SKEW_REFUSED_S = 900
_SKEW_TOLD_S = 300


async def probe(settings: Settings, clock: Clock) -> Sequence[Finding]:
    """What is found at MINIO_ENDPOINT, or in STORAGE_FOLDER, within 8 s."""
    found = Collection("minio")
    connection = minio_connection(settings)
    if settings.minio.folder is not None:
        await asyncio.to_thread(look_at_folder, settings.minio.folder, settings.minio, found)
        return found.findings
    if connection is None:
        setting = _SETTING if settings.minio.enabled else "MINIO_ENABLED=True"
        found.skipped("connection", f"not configured, tasks with files fail: set {setting}")
        return found.findings
    quick = replace(connection, connect_timeout_s=_CONNECT_S, read_timeout_s=_READ_S)
    remedy = f"See whether the store is overloaded, and that {_SETTING} names it."
    return await found.within(_look(quick, settings, clock, found), remedy)


async def _look(connection: MinioConnection, settings: Settings, clock: Clock, found: Collection) -> None:
    address = _address(connection)
    store = BucketProbe(connection)
    try:
        seconds = await reach(address, clock)
        if connection.secure:
            await _certified(address, connection.ca_bundle, clock, found)
        greeting = await _greeting(store, address, secure=connection.secure)
    except Unreached as error:
        found.failed("connection", error.seen, error.remedy)
        return
    found.ok("connection", f"S3 answers at {address}{' over TLS' if connection.secure else ''}", seconds)
    _look_at_clock(greeting, clock, found)
    await Buckets(store, settings.minio, _probe_key(), clock, found).look()


async def _certified(address: Address, bundle: Path | None, clock: Clock, found: Collection) -> None:
    """Raises Unreached."""
    try:
        context = ssl.create_default_context(cafile=str(bundle or certifi.where()))
    except (OSError, ssl.SSLError) as error:
        raise Unreached(
            f"MINIO_CA_BUNDLE {bundle} can't be used ({error.strerror or error})",
            "Name a PEM file that can be read.",
        ) from None
    try:
        await look_at_certificate(address, Trust(context, "MINIO_CA_BUNDLE"), clock, found)
    except NoTls:
        raise Unreached(
            f"{address} speaks no TLS, and MINIO_USE_SSL=True wants it",
            f"Set MINIO_USE_SSL=False, or correct {_SETTING}.",
        ) from None


async def _greeting(store: BucketProbe, address: Address, *, secure: bool) -> S3Greeting:
    """Raises Unreached for what is no S3."""
    greeting: S3Greeting | None = None
    try:
        greeting = await asyncio.to_thread(store.greet)
    except S3Silent as error:
        reason = str(error)
    else:
        reason = f"HTTP {greeting.status}"
        if greeting.is_s3:
            return greeting
    if not secure and await _speaks_tls(address):
        raise Unreached(
            f"{address} speaks TLS, and MINIO_USE_SSL=False is without",
            "Set MINIO_USE_SSL=True, and MINIO_CA_BUNDLE where the certificate is not a public one.",
        )
    if greeting is None:
        raise Unreached(
            f"{address} takes connections and does not answer as HTTP ({reason})", f"Correct {_SETTING}."
        )
    raise Unreached(
        f"what answers at {address} is not S3 ({reason})",
        f"Correct {_SETTING}: MinIO's S3 is commonly on port 9000, its console on 9001.",
    )


async def _speaks_tls(address: Address) -> bool:
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    try:
        await look_at(address.host, address.port, blind)
    except ssl.SSLCertVerificationError:
        return True
    except (OSError, TimeoutError):
        return False
    return True


def _look_at_clock(greeting: S3Greeting, clock: Clock, found: Collection) -> None:
    if greeting.at is None:
        return
    off = (clock.now() - greeting.at).total_seconds()
    if abs(off) < _SKEW_TOLD_S:
        return
    seen = f"this machine is {abs(off) / 60:.0f} minutes {'ahead of' if off > 0 else 'behind'} the store"
    remedy = "Set the clocks (NTP) on both: S3 refuses requests that are 15 minutes off."
    report = found.failed if abs(off) >= _SKEW_REFUSED_S else found.warning
    report("clock", seen, remedy)


def _address(connection: MinioConnection) -> Address:
    scheme = "https" if connection.secure else "http"
    return Address.of_url(f"{scheme}://{connection.endpoint}", _SETTING)


def _probe_key() -> str:
    """The same for each check on a machine: where deleting is denied, one small object stays and not one a check."""
    return f".llm-service-check/{sha256(socket.gethostname().encode()).hexdigest()[:16]}"
