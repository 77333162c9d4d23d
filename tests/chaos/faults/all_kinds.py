"""Which function does which fault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from tests.chaos.faults import network, process, provider, services, topics
from tests.chaos.scene import Scene
from tests.chaos.schedule import Strike

Doing: TypeAlias = Callable[[Scene, Strike], Awaitable[None]]

KINDS: Mapping[str, Doing] = MappingProxyType(
    {
        "F1": process.kill,
        "F3": process.kill_all,
        "F4": process.freeze,
        "F5": process.stop,
        "F6": process.come_and_go,
        "F8": services.freeze_broker,
        "F9": services.kill_broker,
        "F10": network.slow,
        "F11": network.cut,
        "F12": network.reset,
        "F13": network.lose_replies,
        "F14": topics.refuse_letters,
        "F15": services.harm_database,
        "F17": services.harm_store,
        "F18": provider.refuse,
        "F20": provider.withhold_tokens,
        "F21": process.poison,
        "F26": topics.refuse_statuses,
        "F28": process.starve,
    }
)
