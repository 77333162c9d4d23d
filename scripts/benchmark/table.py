"""The results for people: a table for the terminal, and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scripts.benchmark.contender import PLAIN, WORKER
from scripts.benchmark.results import ROWS, Results, Row

_HEAD = ("", "wanted", "", "worker", "plain loop", "worker / loop")

_PAGE = """\
# What the worker costs

Written by `./scripts/bench --markdown docs/performance.md`; change nothing here by hand.

{surroundings}

{table}

In brackets: the least and the most of several runs, taken in turn (worker, loop, worker, loop); before them the median.

- **CPU**: user and system time of the worker's process, all its threads, over the tasks done between a tenth and nine
  tenths of the tasks that lay on the topic (text in the body, about 2 kB), less what it takes when idle. Settings are the
  defaults: log level INFO, HTTP on, both statuses published. The provider is a package of its own that answers at once.
- **Slots busy**: the time that was asked of the provider, over slots x wall, from the first call's start to the last
  call's end as the provider saw them.
- **Memory**: of the worker's process, with an object store and GigaChat configured and one task done; its children
  (documents to text) apart. "Added" is the most of all samples while it works with 100,000 tasks waiting on its topic.
- **Plain loop**: `scripts/benchmark/plain_loop.py`: aiokafka, a semaphore, auto commit, both statuses awaited. It is
  fast and loses what is in flight when it is killed; it has no retries, deadlines, repeats, dead letters, metrics or log.
"""


def terminal_table(results: Results) -> str:
    rows = [_HEAD, *(_cells(results, row) for row in ROWS)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def page(results: Results, surroundings: Mapping[str, str]) -> str:
    rows: list[Sequence[str]] = [_HEAD, ("---", "--:", ":-:", "--:", "--:", "--:")]
    rows += [_cells(results, row) for row in ROWS]
    table = "\n".join("| " + " | ".join(cell.strip() for cell in row) + " |" for row in rows)
    about = "\n".join(f"- {name}: {value}" for name, value in surroundings.items())
    return _PAGE.format(surroundings=about, table=table)


def _cells(results: Results, row: Row) -> Sequence[str]:
    wanted = row.wanted
    ratio = results.ratio(row)
    return (
        row.label,
        f"{'≤' if wanted.at_most else '≥'} {wanted.bound:g} {row.unit}" if wanted else "",
        "" if wanted is None else "✓" if wanted.holds(results.median(row, WORKER.name)) else "✗",
        _value(results, row, WORKER.name),
        _value(results, row, PLAIN.name),
        f"{ratio:.2f}" if ratio is not None else "",
    )


def _value(results: Results, row: Row, contender: str) -> str:
    values = results.of(row, contender)
    text = f"{results.median(row, contender):,.{row.digits}f} {row.unit}"
    if len(values) == 1:
        return text
    return f"{text} ({min(values):,.{row.digits}f}–{max(values):,.{row.digits}f})"
