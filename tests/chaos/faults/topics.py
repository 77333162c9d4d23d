"""Faults of single topics: F14, F26. One replica is too few for two that must be in sync: NOT_ENOUGH_REPLICAS."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

from tests.acceptance.worker import ROOT
from tests.chaos.scene import Scene
from tests.chaos.schedule import Strike

_LASTS_S = 5.0
_LIMIT_S = 60.0
_AGAIN_S = 0.5


async def refuse_letters(scene: Scene, strike: Strike) -> None:
    """F14: NOT_ENOUGH_REPLICAS for dead letters."""
    del strike
    await _refused(scene, "F14", scene.stage.dead_letters)


async def refuse_statuses(scene: Scene, strike: Strike) -> None:
    """F26: the status topic is not writable."""
    del strike
    await _refused(scene, "F26", scene.stage.status)


async def _refused(scene: Scene, fault: str, topic: str) -> None:
    async with scene.lock("kafka"), scene.lasting(fault, f"{topic.partition('-')[0]} takes no message"):
        await asyncio.to_thread(_set, scene.stage.kafka.bootstrap, topic, "2")
        try:
            await asyncio.sleep(_LASTS_S)
        finally:
            await asyncio.to_thread(_unset, scene.stage.kafka.bootstrap, topic)


def _unset(bootstrap: str, topic: str) -> None:
    """However long it takes: a topic that stays so would be no fault that heals."""
    while not _set(bootstrap, topic, ""):
        time.sleep(_AGAIN_S)


def _set(bootstrap: str, topic: str, value: str) -> bool:
    command = [
        sys.executable,
        "-m",
        "tests.chaos.topic_config",
        bootstrap,
        topic,
        "min.insync.replicas",
        value,
    ]
    ran = subprocess.run(command, cwd=ROOT, timeout=_LIMIT_S, capture_output=True, check=False)
    return ran.returncode == 0
