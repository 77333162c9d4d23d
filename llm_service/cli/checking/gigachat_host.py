"""One of GigaChat's hosts: is it there, is its certificate trusted here, and until when."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

from llm_service.cli.checking.address import Address, Unreached, reach
from llm_service.cli.checking.certificate import Distrust, Shown, look_at
from llm_service.cli.checking.collection import Collection
from llm_service.resilience.clock import Clock

ROOT = "the Russian Trusted Root CA (https://www.gosuslugi.ru/crt), in PEM form"
"""Who issued the vendor's certificates, and what the public lists of authorities do not hold."""

_ENDS_SOON_DAYS = 30
"""A month is what it takes to have a certificate of others renewed."""


def origin(url: str) -> tuple[str, str]:
    """Scheme, host and port: what a certificate is shown for."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


class Host:
    """Looks at hosts with one idea of whom to trust, and keeps what it finds."""

    def __init__(
        self, ca_bundle: Path | None, context: ssl.SSLContext, clock: Clock, found: Collection
    ) -> None:
        self._ca_bundle = ca_bundle
        self._context = context
        self._clock = clock
        self._found = found

    async def look(self, url: str, setting: str) -> bool:
        """Whether somebody answers there whom we trust; ``setting`` names what the address is from."""
        try:
            address = Address.of_url(url, setting)
            seconds = await reach(address, self._clock)
        except Unreached as error:
            self._found.failed(f"connection ({setting})", error.seen, error.remedy)
            return False
        if url.startswith("http:"):
            self._found.warning(
                f"certificate {address.host}",
                f"none: {setting} is plain HTTP, and anyone on the way can read the key and the documents",
                f"Begin {setting} with https://.",
                seconds,
            )
            return True
        return await self._certified(address, setting, seconds)

    async def _certified(self, address: Address, setting: str, seconds: float) -> bool:
        subject = f"certificate {address.host}"
        try:
            shown = await look_at(address.host, address.port, self._context)
        except ssl.SSLError:
            self._found.failed(subject, f"{address} speaks no TLS", f"Correct {setting}.")
            return False
        except (OSError, TimeoutError):
            self._found.failed(
                subject,
                f"{address} takes the connection and ends it, or stays silent, before TLS begins",
                f"Let the proxy or firewall on the way pass TLS, or correct {setting}.",
            )
            return False
        if shown.distrust is not None:
            self._found.failed(subject, *self._distrusted(shown, shown.distrust, setting))
            return False
        self._ends(subject, shown, seconds)
        return True

    def _distrusted(self, shown: Shown, why: Distrust, setting: str) -> tuple[str, str]:
        """What was seen, and what to do."""
        issuer = f", issued by {shown.issuer!r}" if shown.issuer else ""
        if why.expired:
            return "it has expired", "Look at this machine's clock; if it is right, the vendor must renew it."
        if why.other_name:
            return f"it is for another host ({why.reason})", f"Correct {setting}, or the proxy on the way."
        if why.unknown_issuer:
            bundle = self._ca_bundle
            here = "GIGACHAT_CA_BUNDLE is not set" if bundle is None else f"{bundle} does not hold its issuer"
            return (
                f"not trusted{issuer} ({why.reason}): {here}",
                f"Set GIGACHAT_CA_BUNDLE to a file with {ROOT}.",
            )
        return f"not trusted{issuer} ({why.reason})", f"Correct {setting} or GIGACHAT_CA_BUNDLE."

    def _ends(self, subject: str, shown: Shown, seconds: float) -> None:
        if shown.ends_at is None:
            self._found.warning(
                subject, "its end can't be read", "Look at the clock, and at the proxy on the way.", seconds
            )
            return
        days = (shown.ends_at - self._clock.now()).days
        seen = f"until {shown.ends_at:%Y-%m-%d}, {days} days, issued by {shown.issuer!r}"
        if days < _ENDS_SOON_DAYS:
            self._found.warning(
                subject, seen, "Ask the vendor when it is renewed: calls fail when it has ended.", seconds
            )
        else:
            self._found.ok(subject, seen, seconds)
