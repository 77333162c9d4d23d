"""``./scripts/fuzz``: every parser, or some, with so many inputs each."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from scripts.fuzzing.run import Fuzzed, fuzz
from scripts.fuzzing.target import TARGETS

_NAME_WIDTH = max(map(len, TARGETS))


def main() -> int:
    """0 where every promise held, 1 where one did not."""
    options = _options()
    if options.repeat:
        return _repeat(*options.repeat)
    results = [_run(name, options) for name in options.target or TARGETS]
    if options.json:
        for result in results:
            print(json.dumps(_row(result)))
    else:
        for result in results:
            _show(result, options.keep)
    return int(any(result.failed for result in results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./scripts/fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=250_000, help="for each parser (default 250,000)")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer; 1 or more (default 1)")
    parser.add_argument("--target", action="append", choices=TARGETS, help="this parser alone; repeatable")
    parser.add_argument(
        "--keep", type=Path, default=Path.cwd(), help="folder for an input that breaks a promise"
    )
    parser.add_argument("--json", action="store_true", help="a JSON line for each parser")
    parser.add_argument(
        "--repeat", nargs=2, metavar=("TARGET", "FILE"), help="one input again, with its traceback"
    )
    return parser.parse_args()


def _run(name: str, options: argparse.Namespace) -> Fuzzed:
    terminal = sys.stderr.isatty()

    def progress(tried: int) -> None:
        if terminal:
            print(
                f"\r{name:<{_NAME_WIDTH}} {tried:>12,} of {options.inputs:,}",
                end="",
                file=sys.stderr,
                flush=True,
            )

    result = fuzz(name, options.inputs, options.seed, progress)
    if terminal:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return result


def _show(result: Fuzzed, folder: Path) -> None:
    per_s = result.inputs / max(result.seconds, 0.001)
    print(
        f"{result.target:<{_NAME_WIDTH}}  {result.inputs:>10,} inputs in {result.seconds:5.1f} s ({per_s:,.0f}/s), "
        f"{result.edges} branches reached: {'BROKEN' if result.failed else 'every promise held'}"
    )
    if not result.failed:
        return
    print(result.said)
    if result.finding is not None:
        path = folder / f"finding-{result.target}"
        path.write_bytes(result.finding)
        print(f"again: ./scripts/fuzz --repeat {result.target} {path}")


def _row(result: Fuzzed) -> dict[str, object]:
    return {
        "target": result.target,
        "inputs": result.inputs,
        "seed": result.seed,
        "seconds": round(result.seconds, 1),
        "branches": result.edges,
        "failed": result.failed,
        "finding": result.finding.hex() if result.finding is not None else None,
    }


def _repeat(target: str, path: str) -> int:
    from scripts.fuzzing import engine

    if target not in TARGETS or not Path(path).is_file():
        print(
            f"there is no parser {target!r} or no file {path}: parsers are {', '.join(TARGETS)}",
            file=sys.stderr,
        )
        return 2
    engine.main([target, path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
