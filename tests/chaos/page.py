"""docs/guarantee.md, made from what the recorded runs left in docs/evidence: ``./scripts/chaos --page``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.acceptance.worker import ROOT
from tests.chaos.soak.section import text as soak_section
from tests.upgrade.section import text as upgrade_section

EVIDENCE = ROOT / "docs" / "evidence"
PAGE = ROOT / "docs" / "guarantee.md"

Report = Mapping[str, Any]

_HEAD = """# What is promised, and the evidence

Made by `./scripts/chaos --page` from the records in [docs/evidence](evidence); don't edit it by hand.

## The promise

**Every task that Kafka acknowledged gets its terminal status; through any crash, rebalance or outage of what the service
depends on, none is lost.** How strong the rest is depends on `KAFKA_DELIVERY`:

| | `exactly_once` (default) | `at_least_once` |
|---|---|---|
| how | terminal event, retry or dead-letter message, offset and offset map are one Kafka transaction | the event is acknowledged first, the offset committed after |
| a reader with `read_committed` sees | exactly one terminal event for each message consumed | at least one; after a crash or a rebalance a task whose offset was not committed yet may get a second one that differs: the first by offset counts |
| a reader with `read_uncommitted` sees | may also see an event of an aborted transaction | the same |
| needs | brokers from 2.5 with a working transaction log, the ACL of the transactional id | nothing |

A task message is identified by topic, partition and offset. The same task id in another message is a producer's repeat:
it is given the same bytes while the worker's window or the ledger knows the first answer, else it is a new run; one that
comes while the first waits on the retry topic is answered by that one.

## Its limits

- A provider may be asked twice for one task: after a crash, for what was in flight and what was not committed yet.
  Nobody can promise exactly one call.
- A task that was running each of several times when its worker ended without a word ends as FAILED with a dead letter,
  code `poison` (`POISON_MAX_TAKEOVERS`): one that takes longer than the time between two deaths of workers can't be told
  from one that kills them.
- Outside the promise: retention of the tasks topic shorter than its backlog, `auto.offset.reset=latest` on new
  partitions, an expired group, a compacted tasks topic (refused at start), a broker that loses what it acknowledged (the
  runs below have one broker, whose log survives its SIGKILL).
- A reader that must not see two answers reads with `isolation.level=read_committed`.
"""  # noqa: E501 - rows of a table

_REPEAT = """## How to repeat it

    {storm}
    ./scripts/chaos --page

`./scripts/chaos` brings up a Kafka, a MinIO and a PostgreSQL of its own and stand-ins for the providers, whose every answer
carries a fresh nonce; it starts real workers, strikes by a seeded schedule, and then starts the checker as a program of its
own, which reads topics, tables, the stand-ins' logs and sampled offsets, and never asks a worker. The seed decides load and
schedule; what the operating system makes of it differs from run to run. With `--out DIR` the recording stays, and
`python -m tests.chaos.checker DIR` judges it again. The tests hold five minutes of the same, and workers broken on purpose
that the checker must catch (`tests/acceptance/test_chaos.py`, `tests/acceptance/test_chaos_controls.py`).

What is tested beside it: the end of a worker at each durable boundary, before and after it, on real services
(`tests/acceptance/test_crash_points.py`); the worker's own code under simulated faults (`./scripts/simulate`); parsers of
whatever comes from outside (`./scripts/fuzz`); the code of offsets, maps and settling broken in some 1,500 small ways
([docs/mutation.md](mutation.md)); earlier versions replaced by this one under load (`./scripts/upgrade`); an
hour without faults, in which nothing may grow (`./scripts/soak`).
"""


def keep(name: str, found: Report) -> None:
    """As a record, for the page."""
    EVIDENCE.mkdir(exist_ok=True)
    text = json.dumps(found, ensure_ascii=False, indent=1) + "\n"
    (EVIDENCE / f"{name}.json").write_text(text, "utf-8")


def page(evidence: Path = EVIDENCE) -> str:
    """Of the records that are there; a section without one is left out."""
    records = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(evidence.glob("*.json"))}
    parts = [_HEAD]
    if storm := records.get("storm"):
        parts += ["## The recorded run\n", _run(storm)]
    if weak := records.get("at-least-once"):
        parts += ["## The same in `at_least_once`\n", _run(weak)]
    if rare := records.get("rare"):
        parts += [
            "## A store that refuses, a process without memory, a message that kills\n",
            _run(rare),
        ]
    takeovers = {
        name: records[f"kills-{name}"] for name in ("classic", "consumer") if f"kills-{name}" in records
    }
    if takeovers:
        parts += ["## How soon work goes on after a SIGKILL\n", _takeovers(takeovers, records.get("storm"))]
    if soak := records.get("soak"):
        parts += [
            "## An hour at half load\n",
            soak_section(soak),
            "![its measures over time](pictures/soak.svg)\n",
        ]
    if upgrade := records.get("upgrade"):
        parts += ["## Upgrades under load\n", upgrade_section(upgrade)]
    if simulation := records.get("simulation"):
        parts += ["## The simulation\n", _simulation(simulation)]
    if fuzzing := records.get("fuzzing"):
        parts += ["## Fuzzing of the parsers\n", _fuzzing(fuzzing)]
    if storm:
        parts.append(_REPEAT.format(storm=storm["about"]["command"]))
    return "\n".join(parts).rstrip() + "\n"


# --- a run of ./scripts/chaos -------------------------------------------------------------------


def _run(found: Report) -> str:
    lost = numbers(found, "I1")
    events = numbers(found, "I2")
    signals = found["signals"]
    told = [f"{_number(signals.get(name, 0))} {name}" for name in ("SIGKILL", "SIGSTOP", "SIGTERM", "SIGINT")]
    head = (
        f"**{_number(lost['tasks'])} tasks, {lost['lost']} lost, {events.get('events beyond one a message', 0)} terminal "
        f"events beyond one a message**, under {', '.join(told)} and what else the table shows."
    )
    notes = [f"- {name}: {note}" for name, note in found.get("notes", {}).items()]
    lines = [head, "", *_about(found), "", *_faults(found), "", *_invariants(found), "", *notes]
    return "\n".join(lines) + "\n"


def _about(found: Report) -> list[str]:
    plan = found["plan"]
    facts = {
        **found["about"],
        "services": "; ".join(found["services"]),
        "mode": f"`{plan['mode']}`, {plan['protocol']} protocol",
        "seed": plan["seed"],
        "workers": f"{plan['workers']}, each with {plan['pool']} slots, on {plan['partitions']} partitions; session "
        f"timeout {plan['session_s']:g} s",
        "answers": f"of up to {plan['slowest_s']:g} s, one in a thousand of 14 s; as long as a worker lives here, so "
        "`POISON_MAX_TAKEOVERS` is 12",
        "took": f"{found['seconds']:.0f} s from the first message to the last answer, "
        f"{found['tasks a second']} tasks a second",
    }
    facts["command"] = f"`{facts['command']}`"
    return [f"- {name}: {value}" for name, value in facts.items()]


def _faults(found: Report) -> list[str]:
    kinds = numbers(found, "I1")["kinds"]
    struck: Counter[str] = Counter(found["faults"])
    planned = found["plan"]["faults"]
    struck["F7"] += kinds.get("long", 0)
    struck["F21"] += kinds.get("crashes the parser", 0)
    rows = [
        f"| {name} | {what} | {_number(struck[name])} |"
        for name, what in found["words"].items()
        if name in planned
    ]
    return ["| fault | what | times |", "|---|---|--:|", *rows]


def _invariants(found: Report) -> list[str]:
    rows = []
    for one in found["invariants"]:
        held = "yes" if one["holds"] else f"**{one['violations']} times not**"
        rows.append(f"| {one['name']} | {one['title']} | {held} | {_pairs(one['numbers'])} |")
    return ["| | must hold | held | numbers |", "|---|---|---|---|", *rows]


def numbers(found: Report, name: str) -> dict[str, Any]:
    """What the checker counted for an invariant."""
    values: dict[str, Any] = next(one for one in found["invariants"] if one["name"] == name)["numbers"]
    return values


# --- takeovers ----------------------------------------------------------------------------------


def _takeovers(calm: Mapping[str, Report], storm: Report | None) -> str:
    lines = [
        "From the SIGKILL of a busy worker to the next terminal event of the partitions that it worked on, in seconds.",
        "Nothing but kills strikes in these runs; a task takes up to a second itself.",
        "",
        "| | the same instance is back | another member takes over | commit, date | load of the machine |",
        "|---|---|---|---|--:|",
    ]
    rows = {f"{name} protocol": found for name, found in calm.items()}
    if storm:
        rows["classic protocol, in the recorded run above"] = storm
    for name, found in rows.items():
        kills = numbers(found, "kills")
        times = [_spread(kills[column]) for column in ("same instance back, s", "another member, s")]
        about = found["about"]
        lines.append(
            f"| {name} | {times[0]} | {times[1]} | {about['commit']}, {about['date']} | {about['load'].split()[0]} |"
        )
    lines += [
        "",
        "With the classic protocol an instance that is back has its `KAFKA_GROUP_INSTANCE_ID`, and its partitions at once;",
        "KIP-848 has no such way (a static member meets a fatal error until its session ends), so there the partitions are",
        "silent for the session whoever comes, and the session is the broker's setting (6 s here, 45 s by default).",
    ]
    return "\n".join(lines) + "\n"


def _spread(seconds: Mapping[str, float]) -> str:
    if not seconds:
        return "–"
    return f"median {seconds['median']}, worst {seconds['worst']} ({seconds['count']} kills)"


# --- other evidence -----------------------------------------------------------------------------


def _simulation(found: Report) -> str:
    """Of ``./scripts/simulate --resume``."""
    sums = f"{_number(found['seeds'])} seeds, {_number(found['tasks'])} messages, {len(found['failed'])} seeds failed"
    lines = [
        f"**{sums}**, {found['virtual_seconds'] / 3600:,.0f} hours of virtual time.",
        "The worker's own code on a virtual clock, between a",
        "Kafka, a store, a ledger and providers that are simulated and fail, are slow, or do what they were asked and then",
        "report that they failed, all by the seed. One seed again: `./scripts/simulate --seed S`.",
        "",
    ]
    if parts := found.get("parts"):
        lines += ["| seeds | commit | date | machine |", "|---|---|---|---|", *map(_part, parts), ""]
    for seed, mended in found.get("mended", {}).items():
        lines.append(
            f"- Seed {seed} failed on {mended['failed_on']} ({'; '.join(mended['failures'])[:200]}) and passes on "
            f"{mended['passed_on']}."
        )
    lines += ["", "| fault | times |", "|---|--:|"]
    lines += [f"| {kind} | {_number(count)} |" for kind, count in sorted(found["hits"].items())]
    return "\n".join(lines) + "\n"


def _part(part: Report) -> str:
    around, last = part["around"], part["first"] + part["seeds"] - 1
    return f"| {part['first']}–{last} | {around['commit']} | {around['date']} | {around['machine']} |"


def _fuzzing(rows: Sequence[Report]) -> str:
    """Of the lines of ``./scripts/fuzz --json``, as one list."""
    inputs = sum(row["inputs"] for row in rows)
    lines = [
        f"**{_number(inputs)} inputs**, led by what they reach (`{rows[0]['around']['command']}`):",
        "",
        "| parser | inputs | seed | branches reached | held | commit, date |",
        "|---|--:|--:|--:|---|---|",
    ]
    for row in rows:
        held, around = "**no**" if row["failed"] else "yes", row["around"]
        lines.append(
            f"| {row['target']} | {_number(row['inputs'])} | {row['seed']} | {row['branches']} | {held} "
            f"| {around['commit']}, {around['date']} |"
        )
    return "\n".join(lines) + "\n"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in values.items())


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{name}: {_shown(inner)}" for name, inner in value.items()) + ")"
    if isinstance(value, list):
        # One number a kill is too long for a table: the least, the middle one and the most say the same.
        ordered = sorted(value)
        return (
            f"{ordered[0]}, {ordered[len(ordered) // 2]}, {ordered[-1]} (least, median, most)"
            if ordered
            else "–"
        )
    return _number(value) if isinstance(value, int) else str(value).replace("|", "\\|")


def _number(value: int) -> str:
    return f"{value:,}"
