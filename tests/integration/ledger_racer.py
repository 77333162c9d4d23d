"""One of those that race for the rows of the ledger: ``python -m tests.integration.ledger_racer DSN NAME COUNT``.

It says ``ready``, connects at the next line of stdin, says ``there``, begins at the next one, and writes the word that it
was told for each run, a line each.
"""

from __future__ import annotations

import asyncio
import random
import sys

from llm_service.contract.record import Record
from llm_service.ledger.database import Database
from llm_service.ledger.postgres_ledger import LedgerPolicy, PostgresLedger
from llm_service.resilience.clock import SystemClock
from llm_service.tasks.ports import Entry
from tests.integration.test_operation_log import config_of

# A busy machine keeps the database waiting, and whoever stands aside takes no part in the race.
PATIENT = LedgerPolicy(answer_s=30.0)


def entry(number: int, word: str) -> Entry:
    task_id, run = f"task-{number}", f"tasks/0/{number}"
    headers = (("status", b"3"), ("run", run.encode()), ("event_id", word.encode()))
    return Entry(task_id, run, succeeded=True, event=Record(task_id.encode(), word.encode(), headers))


async def race(dsn: str, name: str, count: int) -> list[str]:
    """The winning word of each run."""
    database = Database(config_of(dsn))
    ledger = PostgresLedger(database, SystemClock(), random.Random(name), lambda _: None, PATIENT)
    await _told("ready")
    await ledger.start()
    await _told("there")
    numbers = list(range(count))
    random.Random(name).shuffle(numbers)
    kept = await asyncio.gather(*(ledger.record(entry(number, f"{name}-{number}")) for number in numbers))
    assert ledger.up, ledger.reason
    await ledger.close()
    await database.close()
    words = {won.task_id: (won.event.value or b"").decode() for won in kept}
    return [words[f"task-{number}"] for number in range(count)]


async def _told(word: str) -> None:
    """Say it and wait for a line."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    for word in asyncio.run(race(sys.argv[1], sys.argv[2], int(sys.argv[3]))):
        sys.stdout.write(word + "\n")
