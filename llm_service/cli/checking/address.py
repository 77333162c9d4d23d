"""Whether somebody takes connections at an address, and if not, which of the few reasons it is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from llm_service.resilience.clock import Clock

CONNECT_S = 3.0
"""For names and connections together: a packet around the earth takes 0.3 s, and a lost one is sent again after 1 s."""


@dataclass(frozen=True, slots=True)
class Address:
    """Host and port, and the names of the settings that say so, for who has to correct them."""

    host: str
    port: int
    settings: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @staticmethod
    def of_url(url: str, settings: str) -> Address:
        """Raises Unreached for a port that is none."""
        parts = urlsplit(url)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise Unreached(f"{settings} has a port that is none", f"Correct {settings}.") from None
        return Address(parts.hostname or "", port, settings)


class Unreached(Exception):
    """Nobody takes a connection there: what was seen, and what to do about it."""

    def __init__(self, seen: str, remedy: str) -> None:
        super().__init__(seen)
        self.seen = seen
        self.remedy = remedy


async def reach(address: Address, clock: Clock, limit_s: float = CONNECT_S) -> float:
    """Connect and hang up: how many seconds the connection took. Raises Unreached."""
    try:
        async with asyncio.timeout(limit_s):
            numbers = await _resolved(address)
            began = clock.monotonic()
            await _connected(address, numbers)
            return clock.monotonic() - began
    except TimeoutError:
        raise Unreached(
            f"nothing came back from {address} within {limit_s:g} s",
            f"Let the firewall or network policy between here and there pass, or correct {address.settings}.",
        ) from None


async def _resolved(address: Address) -> Sequence[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError):
        raise Unreached(
            f"the name {address.host!r} is not known here",
            f"Correct {address.settings}, or the name service of this machine; in a container use the service's name.",
        ) from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def _connected(address: Address, numbers: Sequence[str]) -> None:
    """Try each number that the name stands for; a refusal says more than an address without a way to it."""
    failures: list[OSError] = []
    for number in numbers:
        try:
            _, writer = await asyncio.open_connection(number, address.port)
        except OSError as error:
            failures.append(error)
        else:
            writer.close()
            return
    if any(isinstance(failure, ConnectionRefusedError) for failure in failures):
        raise Unreached(
            f"{address} refuses connections: nothing listens there",
            f"Start it, or correct {address.settings}; in a container localhost is the container itself.",
        )
    raise Unreached(
        f"there is no way to {address} ({failures[-1].strerror or failures[-1]})",
        f"Look at the network of this machine, or correct {address.settings}.",
    )
