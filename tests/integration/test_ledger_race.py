"""Two processes with an answer of their own for each run, on an empty database: one answer wins, and both publish it."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import asyncpg

from tests.services.postgres import Postgres
from tests.standins.process import ROOT

RUNS = 1_500
# One may have done all of it before a busy machine lets the other begin.
RACES = 5
NAMES = ("one", "other")


async def test_of_each_run_one_answer_wins_and_both_are_told_the_same(postgres: Postgres) -> None:
    for _ in range(RACES):
        winners = await _of_one_race(await asyncio.to_thread(postgres.database))
        if winners == set(NAMES):
            return
    raise AssertionError(f"they never met: in {RACES} races each run was the same one's")


async def _of_one_race(dsn: str) -> set[str]:
    """Who was first somewhere; what each race must come to is looked at here."""
    told = await asyncio.to_thread(_race, dsn)
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        rows = await connection.fetch("SELECT run, event_value FROM task_outcomes")
        migrations = await connection.fetch("SELECT number, count(*) FROM ledger_migrations GROUP BY number")
    finally:
        await connection.close(timeout=5)
    kept = {row["run"]: row["event_value"].decode() for row in rows}
    assert len(rows) == len(kept) == RUNS
    assert told[0] == told[1] == [kept[f"tasks/0/{number}"] for number in range(RUNS)]
    # Both came to an empty database at once.
    assert {row["count"] for row in migrations} == {1}
    return {word.split("-")[0] for word in told[0]}


def _race(dsn: str) -> list[list[str]]:
    """What each was told, run by run."""
    command = [sys.executable, "-m", "tests.integration.ledger_racer", dsn]
    racers = [
        subprocess.Popen(
            [*command, name, str(RUNS)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in NAMES
    ]
    try:
        for word in ("ready\n", "there\n"):
            for racer in racers:
                assert racer.stdout is not None
                assert racer.stdout.readline() == word
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write("go\n")
                racer.stdin.flush()
        said = [racer.communicate(timeout=60)[0].splitlines() for racer in racers]
        assert [racer.returncode for racer in racers] == [0, 0]
    finally:
        for racer in racers:
            racer.kill()
            racer.wait(5)
    return said
