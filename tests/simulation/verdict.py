"""The verdict at the end of a run: what a read_committed reader was told of each task, and what it cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from llm_service.kafka.suspects import alone_from
from tests.simulation.cluster import Cluster
from tests.simulation.judge import Place, Watch, header, place_of_letter, place_of_run
from tests.simulation.log import Entry
from tests.simulation.outside import ProviderLog
from tests.simulation.scenario import LETTERS, ROUND_ATTEMPTS, STATUS, Scenario
from tests.simulation.worker import MAX_RETRIES, POISON_TAKEOVERS

_TERMINAL = ("3", "4")


class Verdict:
    """Yields a sentence for each invariant that does not hold."""

    def __init__(
        self, cluster: Cluster, watch: Watch, provider: ProviderLog, scenario: Scenario, kills: int
    ) -> None:
        """``kills``: how often a task has killed its process."""
        self._watch = watch
        self._provider = provider
        self._scenario = scenario
        self._exactly = scenario.mode == "exactly_once"
        # From some deaths on what kills its process runs alone, and harms no other: its later ones excuse nothing.
        self._poisoned = max(0, kills - alone_from(POISON_TAKEOVERS))
        self._attempts = ROUND_ATTEMPTS if scenario.round_s else 1
        self._terminal: dict[str, list[Entry]] = defaultdict(list)
        self._letters: dict[Place, list[Entry]] = defaultdict(list)
        self._status = [log.visible() for log in cluster.topics[STATUS].partitions]
        for entry in (entry for entries in self._status for entry in entries):
            if header(entry, "status") in _TERMINAL:
                self._terminal[(entry.key or b"").decode()].append(entry)
        for log in cluster.topics[LETTERS].partitions:
            for entry in log.visible():
                self._letters[place_of_letter(entry)].append(entry)

    def broken(self) -> Iterator[str]:
        yield from self._watch.failures
        yield from self._watch.drops.broken(exactly=self._exactly)
        for place, offset in self._watch.left():
            expected = self._watch.sent[place, offset]
            yield f"I1: {place.topic}/{place.partition}/{offset} ({expected.kind} {expected.task_id}) has no outcome"
        for task_id, places in sorted(self._watch.by_id.items()):
            yield from self._of_task(task_id, places)
        yield from self._order()
        yield from self._spent()
        yield from self._poison()
        for worker, most in sorted(self._provider.most.items()):
            if most > self._scenario.pool:
                yield f"I6: {worker} had {most} calls in progress with a pool of {self._scenario.pool}"

    def _of_task(self, task_id: str, places: list[Place]) -> Iterator[str]:
        expected = self._watch.sent[places[0]]
        told = self._terminal[task_id]
        conflicts = [
            letter
            for place in places
            for letter in self._letters[place]
            if header(letter, "dlq_reason") == "id_conflict"
        ]
        wanted = len(places) - self._watch.absorbed[task_id] if expected.statuses else 0
        if self._exactly and len(told) + len(conflicts) != wanted:
            yield f"I2: {task_id} has {len(told)} terminal events and {len(conflicts)} conflicts for {wanted} messages"
        if not self._exactly:
            yield from self._repeated(task_id, told)
        yield from self._contradictions(task_id, told)
        yield from self._as_expected(task_id, told, places)

    def _spent(self) -> Iterator[str]:
        """I7: what the provider was asked; a file that is dropped twice is asked for twice."""
        runs: Counter[str] = Counter()
        tasks: dict[str, set[str]] = defaultdict(set)
        for task_id, places in self._watch.by_id.items():
            asked = self._watch.sent[places[0]].asks
            runs[asked] += len(places) + sum(map(self._watch.disturbance, places))
            tasks[asked].add(task_id)
        for asked, allowed in sorted(runs.items()):
            answered = self._provider.calls[asked] - self._provider.failed[asked]
            if answered > allowed:
                yield f"I7: {asked} was answered {answered} times by the provider, {allowed} are allowed"
            most = allowed * self._attempts * (MAX_RETRIES + 1)
            if self._provider.refused[asked] > most:
                yield f"I7: {asked} failed {self._provider.refused[asked]} times, {most} are allowed"

    def _poison(self) -> Iterator[str]:
        """I9: it costs its attempts, and says what it was."""
        for task_id, places in self._watch.by_id.items():
            if self._watch.sent[places[0]].kind != "poison":
                continue
            if self._provider.calls[task_id] > POISON_TAKEOVERS:
                yield f"I9: {task_id} has killed {self._provider.calls[task_id]} processes"
            reasons = {header(letter, "dlq_reason") for place in places for letter in self._letters[place]}
            if reasons - {"poison"}:
                yield f"I9: {task_id} ended as {reasons}"

    def _repeated(self, task_id: str, told: list[Entry]) -> Iterator[str]:
        """A second event that differs only where the message was not committed when its partition changed hands."""
        runs: dict[str, set[str]] = defaultdict(set)
        for entry in told:
            runs[header(entry, "run")].add(header(entry, "event_id"))
        for run, distinct in runs.items():
            allowed = 1 + self._watch.disturbance(place_of_run(run))
            if len(distinct) > allowed:
                yield f"I2: {task_id} has {len(distinct)} different events for {run}, {allowed} are allowed"

    def _contradictions(self, task_id: str, told: list[Entry]) -> Iterator[str]:
        """One process knows what it has answered, and says the same again."""
        said: dict[str, set[str]] = defaultdict(set)
        for entry in told:
            if header(entry, "status") == "3":
                said[header(entry, "worker_id")].add(header(entry, "event_id"))
        for worker, distinct in said.items():
            if len(distinct) > 1:
                yield f"I2: {worker} gave {len(distinct)} different answers to {task_id}"

    def _as_expected(self, task_id: str, told: list[Entry], places: list[Place]) -> Iterator[str]:
        statuses = Counter(header(entry, "status") for entry in told)
        expected = self._watch.sent[places[0]]
        unexpected = [status for status in statuses if status not in expected.statuses]
        if unexpected == ["4"] and (
            # Failed as often as the provider may be asked.
            self._provider.failed[expected.asks] >= self._attempts * (MAX_RETRIES + 1)
            or max(map(self._watch.disturbance, places)) >= POISON_TAKEOVERS + self._poisoned
        ):
            unexpected = []
        if unexpected:
            yield f"I1: {task_id} ({expected.kind}) ended as {unexpected}"
        # A repeat that waited for the first is told the same bytes, and the letter is the first one's.
        failed = len({header(entry, "event_id") for entry in told if header(entry, "status") == "4"})
        letters = sum(
            header(letter, "dlq_reason") != "id_conflict"
            for place in places
            for letter in self._letters[place]
        )
        silent = len(places) if expected.letter and not expected.statuses else 0
        if self._exactly and failed + silent != letters:
            yield f"I9: {task_id} has {failed} FAILED and {letters} dead letters"
        for place, offset in sorted(set(self._watch.owed) & set(places)):
            yield f"I9: {place.topic}/{place.partition}/{offset} of {task_id} is FAILED and has no dead letter"

    def _order(self) -> Iterator[str]:
        """I3: PROCESSING before the answer, and never after it, per run and worker."""
        for entries in self._status:
            begun: set[tuple[str, str]] = set()
            ended: set[tuple[str, str]] = set()
            for entry in entries:
                who = header(entry, "run"), header(entry, "worker_id")
                status = header(entry, "status")
                if status == "2":
                    begun.add(who)
                    if who in ended:
                        yield f"I3: PROCESSING after the outcome of {who[0]} by {who[1]}"
                elif status in _TERMINAL:
                    ended.add(who)
                    if status == "3" and who not in begun:
                        yield f"I3: an answer without PROCESSING of {who[0]} by {who[1]}"
