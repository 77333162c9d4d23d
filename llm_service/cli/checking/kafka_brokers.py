"""The way to the brokers: the addresses of the settings, and those that the brokers send their clients to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

from llm_service.cli.checking.address import Address, Unreached
from llm_service.cli.checking.collection import Collection
from llm_service.cli.checking.kafka_listener import BOOTSTRAP, Manner, look_at_listener
from llm_service.cli.checking.trust import Trust
from llm_service.kafka.cluster import Broker
from llm_service.kafka.config import ConnectionConfig
from llm_service.kafka.handshake import Greeting
from llm_service.resilience.clock import Clock


class Brokers:
    """Looks at listeners in the manner of the settings, each once."""

    def __init__(self, connection: ConnectionConfig, clock: Clock, found: Collection) -> None:
        self._manner = manner(connection)
        self._clock = clock
        self._found = found
        self._bootstrap = [
            _address(text, BOOTSTRAP) for text in connection.bootstrap_servers.split(",") if text.strip()
        ]

    async def bootstrap(self) -> Greeting | None:
        """Look at every address of the settings; None when none will do. One that will do is enough for a client."""
        looks = await asyncio.gather(*(self._look(address) for address in self._bootstrap))
        reached = [look for look in looks if not isinstance(look, Unreached)]
        for address, look in zip(self._bootstrap, looks, strict=True):
            subject = f"connection {address}"
            if not isinstance(look, Unreached):
                self._found.ok(subject, f"Kafka answers ({self._manner.protocol})", look[1])
            elif reached:
                self._found.warning(subject, look.seen, look.remedy)
            else:
                self._found.failed(subject, look.seen, look.remedy)
        return reached[0][0] if reached else None

    async def advertised(self, brokers: Sequence[Broker]) -> bool:
        """Look at every address that clients are sent to; whether any can be reached."""
        places = {broker.id: Address(broker.host, broker.port, "advertised.listeners") for broker in brokers}
        known = {str(address) for address in self._bootstrap}
        looks = await asyncio.gather(*(self._advertised(place, known) for place in places.values()))
        for broker, look in zip(brokers, looks, strict=True):
            if isinstance(look, Unreached):
                self._found.failed(
                    f"broker {broker.id} at {broker.host}:{broker.port}",
                    f"clients are sent to this address (advertised.listeners), and {look.seen}",
                    "Set the broker's advertised.listeners to an address that is good here too, or run the worker where "
                    f"{broker.host}:{broker.port} is: in the brokers' own Docker network, say.",
                )
        there = [str(place) for place, look in zip(places.values(), looks, strict=True) if look is None]
        if there and len(there) == len(looks):
            self._found.ok("advertised listeners", ", ".join(there))
        return bool(there)

    async def _look(self, address: Address) -> tuple[Greeting, float] | Unreached:
        try:
            return await look_at_listener(address, self._manner, self._clock, self._found)
        except Unreached as error:
            return error

    async def _advertised(self, place: Address, known: set[str]) -> Unreached | None:
        if str(place) in known:
            return None
        look = await self._look(place)
        return look if isinstance(look, Unreached) else None


def manner(connection: ConnectionConfig) -> Manner:
    """How these settings speak to a broker. The files have been read by Kafka's own client before."""
    protocol = connection.security_protocol
    if not protocol.endswith("ssl"):
        return Manner(protocol, connection.sasl_mechanism, None)
    context = ssl.create_default_context(cafile=connection.ssl_ca_location)
    if connection.ssl_certificate_location is not None:
        context.load_cert_chain(connection.ssl_certificate_location, connection.ssl_key_location)
    return Manner(protocol, connection.sasl_mechanism, Trust(context, "KAFKA_SSL_CA_LOCATION"))


def _address(text: str, setting: str) -> Address:
    host, _, port = text.strip().rpartition(":")
    return Address(host.strip("[]"), int(port), setting)
