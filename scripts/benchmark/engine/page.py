"""The page that the measurement becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scripts.benchmark.engine.contest import ENGINE, OWN, PEERS, REPEATABLE, SEQUENCES, Result, spread

WANTED = 4.0
_EXPLAINED = """Tokens written over seconds from the first prompt to the last token, prompts of 16 to 63 tokens read in that
time: median of the rounds, and the least and the most. Each contestant is a process that stays. In a round they take
turns, so that what else the machine does hits all of them. "Its own threads" is `Llama(model_path=...)` with nothing
else said: half of the cores for a token and all for a prompt. "Two threads that sleep" sets `OMP_WAIT_POLICY=passive`,
as the engine does for itself."""


def page(about: Mapping[str, str], result: Result) -> str:
    """Markdown."""
    lines = [
        "# What the local engine writes",
        "",
        "Written by `./scripts/bench engine --markdown docs/engine-performance.md`; change nothing here by hand.",
        "",
        *(f"- {name}: {value}" for name, value in about.items()),
        "",
        "| tokens written | per second | per second of processor time |",
        "| --- | --: | --: |",
        *_rates(result),
        "",
        f"| engine, {SEQUENCES} at once / llama-cpp-python | wanted |  | per second | per second of processor time |",
        "| --- | --: | :-: | --: | --: |",
        *_ratios(result),
        "",
        "| | wanted |  | measured |",
        "| --- | --: | :-: | --: |",
        *_rest(result),
        "",
        _EXPLAINED,
    ]
    return "\n".join(lines) + "\n"


def _rates(result: Result) -> Sequence[str]:
    names = {ENGINE: f"Engine, {SEQUENCES} answers at once", REPEATABLE: "The same, `GGUF_REPEATABLE=true`"}
    names |= {peer: f"llama-cpp-python one at a time, {peer}" for peer in PEERS}
    return [
        f"| {names[name]} | {_shown(rates.wall, 0)} | {_shown(rates.cpu, 0)} |"
        for name, rates in result.rates.items()
    ]


def _ratios(result: Result) -> Sequence[str]:
    lines = []
    for peer in PEERS:
        wall, cpu = result.ratio(peer, "wall"), result.ratio(peer, "cpu")
        wanted, mark = (f"≥ {WANTED:g}", _mark(spread(wall)[0] >= WANTED)) if peer == OWN else ("", "")
        lines.append(f"| {peer} | {wanted} | {mark} | {_shown(wall, 2)} | {_shown(cpu, 2)} |")
    return lines


def _rest(result: Result) -> Sequence[str]:
    cost = result.grammar
    hit_us = 1e6 * cost["hit_s"] / max(1, cost["hits"])
    miss_ms = 1e3 * cost["miss_s"] / max(1, cost["misses"])
    equal = _mark(result.equal == SEQUENCES)
    return [
        f"| Greedy answers equal to one at a time, `GGUF_REPEATABLE=true` | {SEQUENCES} | {equal} | {result.equal} |",
        f"| The same without it |  |  | {result.equal_unpadded} |",
        f"| A token that the grammar allows ({cost['hits']:.0f}) |  |  | {hit_us:.1f} µs |",
        f"| A token chosen again under it ({cost['misses']:.0f}) |  |  | {miss_ms:.2f} ms |",
    ]


def _shown(values: Sequence[float], places: int) -> str:
    median, least, most = spread(values)
    return f"{median:,.{places}f} ({least:,.{places}f}–{most:,.{places}f})"


def _mark(is_met: bool) -> str:  # noqa: FBT001 # what it says
    return "✓" if is_met else "✗"
