"""Faults of the provider: F18, F20."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.chaos.scene import Scene
from tests.chaos.schedule import Strike

_STATUSES = (429, 503, 500, 502)
_LASTS_S = (3.0, 6.0)


async def refuse(scene: Scene, strike: Strike) -> None:
    """F18: every chat is refused for a while; 429 with Retry-After in seconds, as a date and absent, in turn."""
    rng = random.Random(strike.seed)
    status = _STATUSES[strike.number % len(_STATUSES)]
    retry_after = ""
    if status == 429:
        soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
        retry_after = ("1", soon, "")[strike.number // len(_STATUSES) % 3]
    instruction: dict[str, object] = {"status": status, "retry_after": retry_after}
    async with scene.lock("gigachat"), scene.lasting("F18", f"GigaChat answers {status}"):
        await _told(scene, instruction, rng.uniform(*_LASTS_S))


async def withhold_tokens(scene: Scene, strike: Strike) -> None:
    """F20: all tokens are revoked; every other time the token server is down as well."""
    down = strike.number % 2 == 1
    what = "tokens revoked, token server down" if down else "tokens revoked"
    async with scene.lock("gigachat"), scene.lasting("F20", what):
        await asyncio.to_thread(scene.stage.gigachat.set, tokens_alive=False)
        if down:
            await _told(scene, {"kind": "oauth", "status": 503}, 4.0)


async def _told(scene: Scene, instruction: dict[str, object], seconds: float) -> None:
    standin = scene.stage.gigachat
    await asyncio.to_thread(lambda: standin.tell(**instruction))
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(standin.forget)
