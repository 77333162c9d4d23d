"""I11: folding the status topic gives the ledger, row by row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from tests.simulation.database import Tables
from tests.simulation.faults import WAYS
from tests.simulation.judge import header
from tests.simulation.log import Topic

Key = tuple[str, str]
LEDGER_TROUBLE = (*(f"ledger: {way}" for way in WAYS), "ledger away", "the ledger stands aside")


def answered(status: Topic) -> Collection[Key]:
    """The runs of which there must be a row."""
    return _told(status).keys()


def disagreements(status: Topic, tables: Tables, *, is_well: bool, exactly: bool) -> Iterator[str]:
    """``is_well``: the ledger was there all the time. Then its row is all that anybody may publish in at_least_once,
    which writes it first; else one may have a row that it did not come to publish, and another answer without one.
    """
    told = _told(status)
    for task, run in sorted(told.keys() - tables.rows.keys()):
        yield f"I11: {task} was answered for {run}, and has no row"
    for task, run in sorted(tables.rows.keys() - told.keys()):
        yield f"I11: {task} has a row for {run}, and was not answered"
    for key in sorted(told.keys() & tables.rows.keys()):
        row = tables.rows[key]["event_id"]
        if row not in told[key] and (is_well or exactly):
            yield f"I11: the row of {key[0]} for {key[1]} is not what was answered"
        if is_well and not exactly and len(told[key]) > 1:
            yield f"I2: {key[0]} was answered in {len(told[key])} ways for {key[1]}, and the ledger was there"


def _told(status: Topic) -> Mapping[Key, set[str]]:
    told: dict[Key, set[str]] = defaultdict(set)
    for log in status.partitions:
        for entry in log.visible():
            if header(entry, "status") in ("3", "4"):
                told[(entry.key or b"").decode(), header(entry, "run")].add(header(entry, "event_id"))
    return told
