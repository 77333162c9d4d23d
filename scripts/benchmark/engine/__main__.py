"""``./scripts/bench engine``."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from scripts.benchmark.surroundings import surroundings
from tests.services import llama_library
from tests.services.cache import Cache
from tests.services.runtime import Unavailable
from tests.services.wishes import Wishes
from tests.standins.random_model import Shape, write

_SEQUENCES = 16
_WANTED = 4.0
_FULL = Shape(
    width=768, layers=12, heads=12, kv_heads=12, inner=2_048, vocabulary=32_000, is_half=True, template=None
)
_QUICK = Shape(
    width=256, layers=6, heads=8, kv_heads=8, inner=768, vocabulary=32_000, is_half=True, template=None
)
# A run of one takes minutes where the machine is busy.
_LIMIT_S = 600
# Two threads on two cores that others use too wait for each other by spinning: that run is given up after this.
_SPINNING_LIMIT_S = 120
_EXPLAINED = """Tokens written over seconds from the first prompt to the last token, prompts of 16 to 63 tokens read in
that time; each in a process of its own, after a warm-up. The engine computes with the cores less one. A run of
llama-cpp-python that takes longer than two minutes is given up and shown as 0."""


@click.command()
@click.option("--quick", is_flag=True, help="A smaller model and shorter answers; under a minute.")
@click.option(
    "--model", type=click.Path(path_type=Path, exists=True), help="A GGUF file instead of random weights."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the numbers, for programs.")
@click.option(
    "--markdown", type=click.Path(path_type=Path), help="Write the page docs/engine-performance.md."
)
def main(*, quick: bool, model: Path | None, json_file: Path | None, markdown: Path | None) -> None:
    """Measure the local engine's batch beside llama-cpp-python one at a time; exit 0 unless that could not be done."""
    shape = _QUICK if quick else _FULL
    try:
        llama_library.install(Cache(Wishes.read().cache, lambda line: click.echo(line, err=True)))
    except Unavailable as error:
        raise click.ClickException(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="llm-service-engine-") as folder:
        path = model or _made(Path(folder), shape)
        name = model.name if model else _described(shape, path.stat().st_size)
        numbers = _measured(path, 32 if quick else 64)
    command = "./scripts/bench engine --quick" if quick else "./scripts/bench engine"
    about = {**surroundings("none", command), "model": name, "answers": str(_SEQUENCES)}
    del about["kafka"]
    text = _page(about, numbers)
    click.echo(text)
    if json_file is not None:
        json_file.write_text(json.dumps({"about": about, "numbers": numbers}, indent=1) + "\n")
    if markdown is not None:
        markdown.write_text(text)


def _made(folder: Path, shape: Shape) -> Path:
    click.echo("bench: writing a model of random weights", err=True)
    return write(folder / "random.gguf", shape)


def _described(shape: Shape, size: int) -> str:
    return (
        f"random weights, llama, {size // 2 // 1_000_000} million numbers of 16 bits "
        f"({shape.layers} layers, {shape.width} wide, {shape.heads} heads), vocabulary of {shape.vocabulary:,}"
    )


def _measured(path: Path, tokens: int) -> dict[str, float]:
    rng = random.Random(1)
    # Of lengths as questions have them; numbers that any vocabulary has.
    prompts = [[rng.randrange(300, 2_000) for _ in range(rng.randrange(16, 64))] for _ in range(_SEQUENCES)]
    click.echo("bench: in batches", err=True)
    ours = _run("in_batches", [str(path), str(tokens)], prompts)
    one_at_a_time = {}
    for threads, words in ((0, "its own number of threads"), (1, "one thread"), (2, "two threads")):
        click.echo(f"bench: one at a time, {words}", err=True)
        arguments = [str(path), str(threads), str(tokens)]
        limit_s = _LIMIT_S if threads == 1 else _SPINNING_LIMIT_S
        one_at_a_time[threads] = _run("one_at_a_time", arguments, prompts, limit_s)
    rates = {threads: found["tokens"] / found["seconds"] for threads, found in one_at_a_time.items()}
    rate, best = ours["tokens"] / ours["seconds"], max(rates.values())
    return {
        "batch_tokens_s": rate,
        "alone_tokens_s": ours["alone_tokens"] / ours["alone_s"],
        "peer_default_tokens_s": rates[0],
        "peer_one_thread_tokens_s": rates[1],
        "peer_two_threads_tokens_s": rates[2],
        "factor_of_best": rate / best,
        "equal_to_alone": ours["equal"],
        **{key: ours[key] for key in ("hits", "misses", "hit_us", "miss_ms")},
    }


def _run(program: str, arguments: Sequence[str], prompts: object, limit_s: float = _LIMIT_S) -> Any:
    try:
        return _ran(program, arguments, json.dumps(prompts), limit_s)
    except subprocess.TimeoutExpired:
        click.echo(f"bench: given up after {limit_s:.0f} s", err=True)
        return {"tokens": 0, "seconds": limit_s}


def _ran(program: str, arguments: Sequence[str], prompts: str, limit_s: float) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", f"scripts.benchmark.engine.{program}", *arguments],
        input=prompts,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"{program} failed ({done.returncode}): {done.stderr[-1000:]}")
    return json.loads(done.stdout)


def _page(about: Mapping[str, str], numbers: Mapping[str, float]) -> str:
    mark = "✓" if numbers["factor_of_best"] >= _WANTED else "✗"
    equal = "✓" if numbers["equal_to_alone"] == _SEQUENCES else "✗"
    lines = [
        "# What the local engine writes",
        "",
        "Written by `./scripts/bench engine --markdown docs/engine-performance.md`; change nothing here by hand.",
        "",
        *(f"- {name}: {value}" for name, value in about.items()),
        "",
        "|  | wanted |  | measured |",
        "| --- | --: | :-: | --: |",
        f"| Engine, {_SEQUENCES} answers at once |  |  | {numbers['batch_tokens_s']:,.0f} tokens/s |",
        f"| Engine, one at a time |  |  | {numbers['alone_tokens_s']:,.0f} tokens/s |",
        f"| llama-cpp-python one at a time, its own threads |  |  | {numbers['peer_default_tokens_s']:,.0f} tokens/s |",
        f"| llama-cpp-python one at a time, one thread |  |  | {numbers['peer_one_thread_tokens_s']:,.0f} tokens/s |",
        f"| llama-cpp-python one at a time, two threads |  |  | {numbers['peer_two_threads_tokens_s']:,.0f} tokens/s |",
        f"| Engine / the best of these | ≥ {_WANTED:g} | {mark} | {numbers['factor_of_best']:.2f} |",
        f"| Greedy answers equal to one at a time | {_SEQUENCES} | {equal} | {numbers['equal_to_alone']:.0f} |",
        f"| A token that the grammar allows ({numbers['hits']:.0f}) |  |  | {numbers['hit_us']:.1f} µs |",
        f"| A token chosen again under it ({numbers['misses']:.0f}) |  |  | {numbers['miss_ms']:.2f} ms |",
        "",
        _EXPLAINED,
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
