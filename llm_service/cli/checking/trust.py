"""The certificate of a service of ours: trusted by the settings, and for how much longer."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from llm_service.cli.checking.address import Address, Unreached
from llm_service.cli.checking.certificate import Distrust, look_at
from llm_service.cli.checking.collection import Collection
from llm_service.resilience.clock import Clock

# A month is what it takes where a certificate is renewed by hand.
_ENDS_SOON_DAYS = 30


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom the settings trust, and how they are called."""

    context: ssl.SSLContext
    bundle_setting: str
    """The setting that names a file of certificates."""
    asks: bytes = b""
    """What is said before TLS begins, to be answered by ``S``: PostgreSQL's way. Empty: TLS begins at once."""


class NoTls(Exception):
    """The other side does not speak TLS."""


async def look_at_certificate(address: Address, trust: Trust, clock: Clock, found: Collection) -> None:
    """Add a finding about it. Raises NoTls, and Unreached where it is not trusted or nobody answers."""
    try:
        shown = await look_at(address.host, address.port, trust.context, trust.asks)
    except (OSError, TimeoutError) as error:
        raise NoTls from error
    if shown.distrust is not None:
        raise Unreached(*_distrusted(address, shown.issuer, shown.distrust, trust))
    if shown.ends_at is None:
        return
    days = (shown.ends_at - clock.now()).days
    seen = f"of {address}: until {shown.ends_at:%Y-%m-%d}, {days} days, issued by {shown.issuer!r}"
    if days < _ENDS_SOON_DAYS:
        found.warning("certificate", seen, "Renew it: nobody is let in when it has ended.")
    else:
        found.ok("certificate", seen)


def _distrusted(address: Address, issuer: str, why: Distrust, trust: Trust) -> tuple[str, str]:
    by = f", issued by {issuer!r}" if issuer else ""
    if why.expired:
        return f"the certificate of {address} has expired", "Renew it, or set this machine's clock right."
    if why.other_name:
        return (
            f"the certificate of {address} is for another host ({why.reason})",
            f"Have one made for {address.host}, or use the name that it is for in {address.settings}.",
        )
    return (
        f"the certificate of {address} is not trusted{by} ({why.reason})",
        f"Set {trust.bundle_setting} to a PEM file with the certificate of its issuer.",
    )
