"""``./scripts/mutate``: every module, or some; what no test noticed, and which of that nobody has explained."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import yaml

from scripts.mutation import record
from scripts.mutation.module import MODULES
from scripts.mutation.mutant import ACCEPTED, Mutant, accepted
from scripts.mutation.run import ROOT, Mutated, MutationFailed, mutate

_NAME_WIDTH = max(map(len, MODULES))
# Of a module's mutants, in percent.
_ENOUGH = 90


def main() -> int:
    """0 where enough was found and all else is explained, 1 where not, 2 where there is no result."""
    options = _options()
    try:
        if options.page:
            record.write(list(record.read().values()))
            return 0
        return _mutate(options)
    except (OSError, ValueError, MutationFailed) as error:
        print(f"mutate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _options() -> argparse.Namespace:
    cores = os.cpu_count() or 1
    parser = argparse.ArgumentParser(prog="./scripts/mutate", description=__doc__)
    parser.add_argument("--module", action="append", choices=MODULES, help="this one alone; repeatable")
    parser.add_argument("--processes", type=int, default=cores, help=f"mutants at once (default {cores})")
    parser.add_argument("--json", action="store_true", help="a JSON line for each module")
    parser.add_argument("--machine", default=f"{cores} cores", help="what the page says of the machine")
    parser.add_argument(
        "--record",
        action="store_true",
        help="keep each, and make the page anew; what is kept and unchanged is left out",
    )
    parser.add_argument("--page", action="store_true", help="only make docs/mutation.md of what is kept")
    return parser.parse_args()


def _mutate(options: argparse.Namespace) -> int:
    reasons = accepted()
    is_good = True
    known_rows = record.read() if options.record else {}
    for name in options.module or MODULES:
        if record.is_current(known_rows.get(name), MODULES[name]):
            continue
        result = mutate(MODULES[name], options.processes, _progress(name))
        known = reasons.get(name, {})
        row = _row(name, result, known, options.machine)
        if options.record:
            record.keep(row)
        if options.json:
            print(json.dumps(row), flush=True)
        else:
            _show(name, result, known)
        is_good &= result.share >= _ENOUGH and all(one.mutant in known for one in result.survivors)
    return int(not is_good)


def _progress(name: str) -> Callable[[str], None]:
    terminal = sys.stderr.isatty()

    def show(text: str) -> None:
        if terminal:
            print(f"\r\x1b[K{name:<{_NAME_WIDTH}} {text}", end="", file=sys.stderr, flush=True)

    return show


def _show(name: str, result: Mutated, known: Mapping[Mutant, str]) -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    print(
        f"{name:<{_NAME_WIDTH}}  {result.mutants:>4} mutants, {result.share:5.1f} % found ({result.timeouts} by time), "
        f"{len(result.survivors)} survived, {result.seconds:.0f} s",
        flush=True,
    )
    open_ones = [one.mutant for one in result.survivors if one.mutant not in known]
    if open_ones:
        print(f"not explained in {ACCEPTED.relative_to(ROOT)}:")
        entries = [{"in": one.place, "was": one.was, "became": one.became, "why": ""} for one in open_ones]
        print(yaml.safe_dump({name: entries}, sort_keys=False, allow_unicode=True, width=10_000))
    gone = known.keys() - {one.mutant for one in result.survivors}
    for one in gone:
        print(f"explained, but found or not there any more: {one.place}: {one.became}")


def _row(name: str, result: Mutated, known: Mapping[Mutant, str], machine: str) -> dict[str, Any]:
    return {
        "module": name,
        "path": MODULES[name].path,
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine,
        "seconds": round(result.seconds, 1),
        "mutants": result.mutants,
        "found": result.found,
        "timeouts": result.timeouts,
        "survived": len(result.survivors),
        "survivors": [
            {
                "in": one.mutant.place,
                "was": one.mutant.was,
                "became": one.mutant.became,
                "reached": one.reached,
                "why": known.get(one.mutant),
            }
            for one in result.survivors
        ],
    }


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
