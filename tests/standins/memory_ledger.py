"""A ledger in memory: what the one in PostgreSQL promises, without its outages."""

from __future__ import annotations

from llm_service.contract.record import Record
from llm_service.tasks.ports import Entry


class MemoryLedger:
    """See ``Ledger``. ``entries`` are in the order in which they came; ``asked`` counts questions and rows."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], Entry] = {}
        self.asked = 0

    async def find(self, task_id: str, run: str) -> Entry | None:
        self.asked += 1
        own = self.entries.get((task_id, run))
        if own is not None:
            return own
        return next((e for e in self.entries.values() if e.task_id == task_id and e.succeeded), None)

    async def record(self, entry: Entry, refused: Record | None = None) -> Entry:
        self.asked += 1
        key = entry.task_id, entry.run
        kept = self.entries.get(key)
        if kept is None or (refused is not None and kept.event == refused):
            self.entries[key] = entry
        return self.entries[key]

    def note(self, entry: Entry) -> None:
        self.asked += 1
        self.entries.setdefault((entry.task_id, entry.run), entry)
