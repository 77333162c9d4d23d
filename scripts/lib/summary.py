"""The closing words of a check run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scripts.lib.outcome import Counts, Outcome


def show(outcomes: Sequence[Outcome], services: Mapping[str, str], seconds: float, *, quick: bool) -> None:
    """Stage by stage, then what ran against what; the last line is the plain one that CI systems read."""
    width = max(len(outcome.stage) for outcome in outcomes)
    print(f"\n=== summary, {_clock(seconds)}")
    for outcome in outcomes:
        print(
            f"{outcome.stage:{width}}  {outcome.result:8}  {outcome.seconds:7.1f} s  {outcome.note}".rstrip()
        )
    if services:
        print("\nran against")
        for name, how in services.items():
            print(f"  {name:8}  {how}")
    if quick:
        print("\n--quick left out every test that needs a real service; ./scripts/test runs them")
    failed = [outcome.stage for outcome in outcomes if outcome.failed]
    print(f"\nFAILED: {', '.join(failed)}" if failed else "\nall passed")
    print(sum((outcome.counts for outcome in outcomes), Counts()), flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
