"""Each provider with the vendor it is tested against."""

from __future__ import annotations

import random
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module

from llm_service.providers.compatible import factories
from llm_service.providers.compatible.vendors import VENDORS
from llm_service.providers.protocol import Provider
from llm_service.providers.registry import ProviderContext
from llm_service.resilience.clock import SystemClock
from tests.standins.process import StandinProcess, gigachat, ollama, openai

PATIENT: dict[str, object] = {"request_timeout_seconds": 20.0, "connect_timeout_seconds": 20.0}
"""Unless a test is about limits: a busy machine is no failure."""

SILENCE_S = 0.5

IMPATIENT: dict[str, object] = {"request_timeout_seconds": SILENCE_S, "connect_timeout_seconds": 1.0}


@dataclass(slots=True)
class Bench:
    """A provider's options, its vendor's stand-in, and where what it refuses connections on."""

    name: str
    options: dict[str, object]
    standin: StandinProcess | None = None
    secrets: tuple[str, ...] = ()
    made: list[Provider] = field(default_factory=list)

    def provider(self, **overrides: object) -> Provider:
        """A patient one, unless told otherwise; closed by the fixture."""
        options = {**self.options, **(PATIENT if self.standin else {}), **overrides}
        if self.name in VENDORS:
            options.setdefault("first_byte_timeout_seconds", options["request_timeout_seconds"])
        context = ProviderContext(options, SystemClock(), random.Random(0), lambda: str(uuid.uuid4()))
        provider: Provider = _factory(self.name)(context)
        self.made.append(provider)
        return provider

    @property
    def vendor(self) -> StandinProcess:
        assert self.standin is not None
        return self.standin


REMOTE = ("gigachat_standin", "ollama_standin", "openai_standin")
"""Not the bare names: the test bed takes a parameter that is a service's name for a wish to have the real one."""


def names() -> list[str]:
    """One provider of each kind; extractive needs no vendor."""
    return [*REMOTE, "extractive"]


def all_names() -> list[str]:
    """Every provider that is here."""
    return [*names(), *(f"{vendor}_standin" for vendor in VENDORS if f"{vendor}_standin" not in REMOTE)]


@contextmanager
def bench(name: str) -> Iterator[Bench]:
    """The provider's vendor runs for as long as this lasts."""
    name = name.removesuffix("_standin")
    with ExitStack() as stack:
        if name == "gigachat":
            vendor = stack.enter_context(gigachat(bodies=True))
            vendor.set(tokens_a_second=1000)  # each test has a provider, and so a token, of its own
            yield Bench(name, vendor.options(), vendor, (vendor.authorization_key,))
        elif name == "ollama":
            server = stack.enter_context(ollama(bodies=True))
            options: dict[str, object] = {
                "base_url": server.base_url,
                "model": "tiny",
                "num_ctx_max": 32_768,
                "keep_alive": "5m",
                "max_concurrent": 20,  # of an address; how many run at once is the guard's business
            }
            yield Bench(name, options, server)
        elif name in VENDORS:
            cloud = stack.enter_context(openai(name, bodies=True))
            yield Bench(name, cloud.options(), cloud, (cloud.key,))
        else:
            yield Bench(name, {})


def _factory(name: str) -> Callable[[ProviderContext], Provider]:
    """As the entry point has it."""
    if name in VENDORS:
        made: Callable[[ProviderContext], Provider] = getattr(factories, name)
        return made
    create: Callable[[ProviderContext], Provider] = import_module(f"llm_service.providers.{name}").create
    return create


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
