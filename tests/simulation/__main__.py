"""``./scripts/simulate``: runs seeds, says what was met, and how a failing one is run again."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.benchmark.surroundings import surroundings
from tests.simulation.cluster import PROTOCOLS
from tests.simulation.faults import all_kinds, missing
from tests.simulation.parts import Totals, reports
from tests.simulation.run import TASKS_A_SEED, Report, Wish
from tests.simulation.scenario import MODES

# A kind of fault that so many seeds don't meet is one that never happens.
_ENOUGH = 1_000
_SHOWN_LINES = 80
_PROGRESS_S = 5.0


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./scripts/simulate",
        description="The worker's own code on a virtual clock, between simulated services that fail by a seed.",
        epilog="Examples:  ./scripts/simulate --seeds 2000    ./scripts/simulate --seed 17    "
        "./scripts/simulate --seeds 100000 --resume long.json",
    )
    parser.add_argument(
        "--seeds", type=int, default=None, metavar="N", help="how many seeds to run; 1 with --seed, else 200"
    )
    parser.add_argument(
        "--seed", type=int, default=None, metavar="S", help="the first seed; with it alone its whole trace"
    )
    parser.add_argument("--tasks", type=int, default=TASKS_A_SEED, metavar="N", help="messages in a seed")
    parser.add_argument("--mode", choices=MODES, help="the delivery mode; the seed decides without it")
    parser.add_argument(
        "--protocol", choices=PROTOCOLS, help="the group protocol; the seed decides without it"
    )
    parser.add_argument(
        "--resume", type=Path, metavar="FILE", help="go on where FILE ends, and keep it up to date"
    )
    parser.add_argument(
        "--parts", type=int, default=None, metavar="N", help="with --resume: stop after N more seeds"
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="with --resume: run those that failed once more, and nothing else",
    )
    parser.add_argument(
        "--seconds", type=float, default=None, metavar="S", help="begin no seed after so long"
    )
    parser.add_argument(
        "--least", type=int, default=0, metavar="N", help="fewer seeds, for whatever reason, are a failure"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--json", action="store_true", help="the totals as one JSON object on stdout")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = _arguments(arguments)
    wish = Wish(options.tasks, options.mode, options.protocol)
    totals = Totals.load(options.resume) if options.resume else Totals()
    wanted = options.seeds or (1 if options.seed is not None else 200)
    first = (options.seed or 0) + totals.seeds
    count = max(wanted - totals.seeds, 0)
    if options.parts is not None:
        count = min(count, options.parts)
    began = time.monotonic()
    around = {name: said for name, said in surroundings("", again(first, wish)).items() if name != "kafka"}
    try:
        if options.again:
            _run_again(wish, options, totals, around["commit"])
        elif count:
            totals.begin(around | {"command": f"{around['command']} --seeds {count}"}, first)
            _run(range(first, first + count), wish, options, totals, began)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    if options.resume:
        totals.save(options.resume)
    return _conclude(totals, options, time.monotonic() - began)


def _run(seeds: Sequence[int], wish: Wish, options: argparse.Namespace, totals: Totals, began: float) -> None:
    told = began
    for number, report in enumerate(reports(seeds, wish, options.processes), 1):
        totals.add(report, options.tasks)
        if report.failures:
            _show(report, wish)
        now = time.monotonic()
        totals.parts[-1].wall_s = round(now - began, 1)
        if now - told >= _PROGRESS_S:
            told = now
            print(
                f"simulate: {number} of {len(seeds)} seeds, {number / (now - began):.1f} a second, "
                f"{len(totals.failed)} failed",
                file=sys.stderr,
                flush=True,
            )
            if options.resume:
                totals.save(options.resume)
        if options.seconds is not None and now - began > options.seconds:
            print(f"simulate: {options.seconds:.0f} s are over after {number} seeds", file=sys.stderr)
            break


def _run_again(wish: Wish, options: argparse.Namespace, totals: Totals, commit: str) -> None:
    for report in reports(sorted(totals.failed), wish, options.processes):
        totals.mend(report, commit)
        if report.failures:
            _show(report, wish)


def _show(report: Report, wish: Wish) -> None:
    print(f"\nseed {report.seed} FAILED: {report.scenario}", file=sys.stderr)
    for line in report.shown[-_SHOWN_LINES:]:
        print(f"    {line}", file=sys.stderr)
    for failure in report.failures[:10]:
        print(f"  {failure}", file=sys.stderr)
    if len(report.failures) > 10:
        print(f"  and {len(report.failures) - 10} more", file=sys.stderr)
    print(f"  again: {again(report.seed, wish)}\n", file=sys.stderr, flush=True)


def again(seed: int, wish: Wish) -> str:
    """The command that runs the same seed in the same way."""
    words = ["./scripts/simulate", "--seed", str(seed)]
    if wish.tasks != TASKS_A_SEED:
        words += ["--tasks", str(wish.tasks)]
    if wish.mode is not None:
        words += ["--mode", wish.mode]
    if wish.protocol is not None:
        words += ["--protocol", wish.protocol]
    return " ".join(words)


def _conclude(totals: Totals, options: argparse.Namespace, seconds: float) -> int:
    never = (
        list(missing(totals.hits))
        if totals.seeds >= _ENOUGH and not (options.mode or options.protocol)
        else []
    )
    if options.json:
        print(
            json.dumps(
                totals.to_json() | {"never_hit": never, "seconds": round(seconds, 1)}, ensure_ascii=False
            )
        )
    else:
        for kind in all_kinds():
            print(f"{totals.hits[kind]:9}  {kind}")
        print(
            f"{totals.seeds} seeds, {totals.tasks} messages, {totals.virtual_s / 3600:.1f} hours of virtual time "
            f"in {seconds:.0f} s ({totals.cpu_s / max(totals.seeds, 1):.2f} CPU-seconds a seed); "
            f"{len(totals.failed)} seeds failed{_named(totals)}"
        )
    if totals.seeds < _ENOUGH:
        print(f"too few seeds to say that a kind is never hit: that takes {_ENOUGH:,}", file=sys.stderr)
    if totals.seeds < options.least:
        print(f"only {totals.seeds} seeds were run: {options.least} are the least", file=sys.stderr)
    for kind in never:
        print(f"never hit in {totals.seeds} seeds: {kind}", file=sys.stderr)
    return int(bool(totals.failed or never or totals.seeds < options.least))


def _named(totals: Totals) -> str:
    shown = ", ".join(str(seed) for seed in sorted(totals.failed)[:20])
    return f": {shown}" if shown else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
