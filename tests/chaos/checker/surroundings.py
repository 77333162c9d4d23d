"""I11, I12, I15, I16: tables, counters, resources, and secrets."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from tests.chaos.checker.book import Book
from tests.chaos.checker.finding import Finding
from tests.chaos.recording import Lying, read_lines

# Beside the connections that a worker keeps open to its provider: log files, threads' pipes, Kafka's sockets that
# come and go, the page's own.
_DESCRIPTORS = 30
_THREADS = 24
# What one at work has in any case: a process that is looked at while it starts has few of either.
_DESCRIPTORS_AT_WORK = 60
_THREADS_AT_WORK = 24
_TOKEN = b"eyJjdHkiOiJqd3QifQ."
"""How every token of the stand-in begins."""


def agreement(book: Book) -> Finding:
    """Folding the status topic gives the ledger's rows: the first event of each run, and no row without one."""
    finding = Finding("I11", "agreement: folding the status topic gives the ledger, row by row")
    path = book.folder / "tables.json"
    tables: Mapping[str, list[dict[str, Any]]] = json.loads(path.read_text()) if path.exists() else {}
    finding.numbers = {name: len(rows) for name, rows in tables.items()}
    for row in tables.get("operation_logs", []):
        if row["task_id"] not in book.by_task and row["task_id"] is not None:
            finding.blame(f"operation_logs tells of a task that nobody sent: {row['task_id']}")
    if "task_outcomes" in tables:
        finding.numbers["not folded yet"] = _rows(book, tables, finding)
    return finding


def _rows(book: Book, tables: Mapping[str, list[dict[str, Any]]], finding: Finding) -> int:
    """How many runs have no row yet and lie above what is folded: who is stopped then has its rows written later."""
    folded = {row["partition"]: row["next_offset"] for row in tables.get("status_fold_positions", [])}
    rows = {(row["task_id"], row["run"]): row for row in tables["task_outcomes"]}
    behind = 0
    firsts: dict[tuple[str, str], Lying] = {}
    for event in sorted(book.events, key=lambda event: (event.partition, event.offset)):
        if event.is_terminal:
            firsts.setdefault((event.task_id, event.header("run")), event)
    for key, event in firsts.items():
        row, said = rows.get(key), (event.header("event_id"), event.header("status"))
        if row is None and event.offset >= folded.get(event.partition, 0):
            behind += 1
        elif row is None:
            finding.blame(f"{key} has no row, though its event at {event.partition}/{event.offset} is folded")
        elif (row["event_id"], str(row["status"])) != said:
            finding.blame(f"{key}: the row says {row['event_id']} {row['status']}, the topic {said}")
    # On a shared topic strangers' statuses are among what is folded.
    strangers = {message.task_id for message in book.sent if not message.status}
    for key in rows.keys() - firsts.keys():
        if key[0] not in strangers:
            finding.blame(f"{key} has a row and no event")
    return behind


def metrics(book: Book) -> Finding:
    """Counters of the processes that lived to the end against what lies in the topic of each, and the lag they tell."""
    finding = Finding("I12", "metrics: the counters say what the topics hold")
    last = {
        line["worker"]: line["series"]
        for line in read_lines(book.folder / "metrics.jsonl")
        if line["note"] == "end"
    }
    written: Counter[str] = Counter()
    uncounted = 0
    for event in book.events:
        if event.is_terminal:
            written[event.header("worker_id")] += 1
    # A worker that had something left when it was looked at went on counting and writing after.
    is_finished = all(book.terminal.get(task_id) for task_id in book.by_task)
    for worker, series in last.items() if is_finished else ():
        settled = _sum(series, "llm_service_tasks_settled_total")
        replayed = _sum(series, 'llm_service_tasks_repeated_total{how="replayed"}')
        missing = written[worker] - settled - replayed
        # What a transaction of unknown result held whose partition left meanwhile: nobody asks for it, so nobody counts.
        if missing > book.plan.pool:
            finding.blame(
                f"{worker}: {settled:.0f} settled and {replayed:.0f} replayed, {written[worker]} events"
            )
        uncounted += max(0, round(missing))
        if settled > written[worker]:
            finding.blame(f"{worker}: {settled:.0f} settled, {written[worker]} events in the topic")
    behind = _lag(book, last.values()) if is_finished and not book.plan.shared else {}
    for name, lag in behind.items():
        finding.blame(f"{name} is told as {lag:.0f}, where the brokers say that nothing waits")
    finding.numbers = {
        "processes compared": len(last),
        "events of theirs": sum(written[one] for one in last),
        "of transactions of unknown result": uncounted,
    }
    return finding


def _lag(book: Book, pages: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """What is told of the tasks topic once all is committed; on the retry topic transactions' markers count."""
    told: Counter[str] = Counter()
    for series in pages:
        for name, value in series.items():
            if name.startswith("llm_service_lag{") and f'topic="{book.facts["tasks_topic"]}"' in name:
                told[name] += round(value)
    return {name: lag for name, lag in told.items() if lag}


def _sum(series: Mapping[str, float], begins: str) -> float:
    return sum(value for name, value in series.items() if name.startswith(begins))


def leaks(book: Book) -> Finding:
    """Descriptors and threads back to where they began once all is done; no temporary file left."""
    finding = Finding("I15", "no leaks: descriptors and threads bounded at the end, no temporary file left")
    lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in read_lines(book.folder / "resources.jsonl"):
        lines[line["worker"]].append(line)
    most: Counter[str] = Counter()
    for worker, found in lines.items():
        for name in ("fds", "threads", "rss"):
            most[name] = max(most[name], *(line[name] for line in found))
        end = found[-1]
        if end["note"] != "end":
            continue
        # A process that has only just been forked has one thread and no connection.
        first = next((line for line in found if line["threads"] > 5), end)
        if end["fds"] > max(first["fds"], _DESCRIPTORS_AT_WORK) + book.plan.pool + _DESCRIPTORS:
            finding.blame(f"{worker}: {end['fds']} descriptors at the end, {first['fds']} at first")
        if end["threads"] > max(first["threads"], _THREADS_AT_WORK) + _THREADS:
            finding.blame(f"{worker}: {end['threads']} threads at the end, {first['threads']} at first")
    for path in book.facts["files_left"]:
        finding.blame(f"left behind: {path}")
    finding.numbers = {
        "most descriptors": most["fds"],
        "most threads": most["threads"],
        "most memory, MB": most["rss"] // 1_000_000,
        "files left": len(book.facts["files_left"]),
    }
    return finding


def secrecy(book: Book) -> Finding:
    """Secrets nowhere; the prompts' canary neither in logs and metrics nor in what we say of a task."""
    finding = Finding("I16", "secrets: none in logs, metrics, statuses or dead letters")
    secrets = [secret.encode() for secret in book.facts["secrets"] if secret] + [_TOKEN]
    canary = book.facts["canary"].encode()
    looked = 0
    for event in [*book.statuses, *book.letters]:
        whole = b"\n".join([event.value, event.key or b"", *(value for _, value in event.headers)])
        looked += len(whole)
        if any(secret in whole for secret in secrets):
            finding.blame(f"a secret in the event at {event.partition}/{event.offset} of {event.task_id}")
        if event.is_ours and canary in whole:
            finding.blame(f"the prompt in the event at {event.partition}/{event.offset} of {event.task_id}")
    for path in [
        *(book.folder / "logs").glob("*"),
        book.folder / "metrics.jsonl",
        book.folder / "tables.json",
    ]:
        content = path.read_bytes() if path.exists() else b""
        looked += len(content)
        if any(secret in content for secret in secrets):
            finding.blame(f"a secret in {path.name}")
        if canary in content:
            finding.blame(f"a prompt in {path.name}")
    finding.numbers = {"secrets": len(secrets), "bytes looked through": looked}
    return finding
