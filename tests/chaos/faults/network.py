"""Faults of the way to the dependencies, of those workers that go through the proxy: F10 to F13."""

from __future__ import annotations

import asyncio
import random

from tests.chaos.proxy import Weather
from tests.chaos.scene import Scene
from tests.chaos.schedule import Strike

# 3 Mbit/s
_NARROW = 375_000.0
_LASTS_S = (3.0, 7.0)
_FLAPS = 5


async def slow(scene: Scene, strike: Strike) -> None:
    """F10: 300 ms ± 200 each way and 3 Mbit/s."""
    rng = random.Random(strike.seed)
    for_s = rng.uniform(*_LASTS_S)
    await _under(scene, "F10", "slow", rng, Weather(0.3, 0.2, _NARROW), for_s)


async def cut(scene: Scene, strike: Strike) -> None:
    """F11: one way, the other, both, in turn; every other time for longer than the session."""
    rng = random.Random(strike.seed)
    ways = (
        Weather(cut_up=True, cut_down=True),
        Weather(cut_up=True),
        Weather(cut_down=True),
    )
    weather = ways[strike.number % len(ways)]
    for_s = scene.plan.session_s + 3.0 if strike.number % 2 == 0 else 3.0
    which = "kafka" if strike.number % 2 == 0 else rng.choice(sorted(scene.stage.links.ports))
    what = f"cut off, up {weather.cut_up}, down {weather.cut_down}"
    await _under(scene, "F11", what, rng, weather, for_s, which)


async def reset(scene: Scene, strike: Strike) -> None:
    """F12: every connection reset, once a second for some seconds."""
    rng = random.Random(strike.seed)
    links = scene.stage.links
    which = rng.choice(sorted(links.ports))
    async with scene.lock(f"link {which}"), scene.lasting("F12", f"{which}: flapping"):
        for _ in range(_FLAPS):
            links.change(which, Weather(reset=True))
            await asyncio.sleep(0.3)
            links.change(which)
            await asyncio.sleep(0.7)


async def lose_replies(scene: Scene, strike: Strike) -> None:
    """F13: done, but the reply is lost. Half of the time Kafka's: produce, commit, end of a transaction."""
    rng = random.Random(strike.seed)
    others = ("minio", "postgres", "gigachat")
    which = "kafka" if strike.number % 2 == 0 else others[strike.number // 2 % len(others)]
    await _under(scene, "F13", "replies are lost", rng, Weather(lose_replies=True), 1.5, which)


async def _under(
    scene: Scene,
    fault: str,
    what: str,
    rng: random.Random,
    weather: Weather,
    for_s: float,
    which: str = "",
) -> None:
    links = scene.stage.links
    which = which or rng.choice(sorted(links.ports))
    async with scene.lock(f"link {which}"), scene.lasting(fault, f"{which}: {what} for {for_s:.0f} s"):
        links.change(which, weather)
        try:
            await asyncio.sleep(for_s)
        finally:
            links.change(which)
