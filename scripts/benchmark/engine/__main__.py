"""``./scripts/bench engine``."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from scripts.benchmark.engine.contest import SEQUENCES, measured
from scripts.benchmark.engine.page import page
from scripts.benchmark.surroundings import surroundings
from tests.services import llama_library
from tests.services.cache import Cache
from tests.services.runtime import Unavailable
from tests.services.wishes import Wishes
from tests.standins.random_model import Shape, write

_FULL = Shape(
    width=768, layers=12, heads=12, kv_heads=12, inner=2_048, vocabulary=32_000, is_half=True, template=None
)
_QUICK = Shape(
    width=256, layers=6, heads=8, kv_heads=8, inner=768, vocabulary=32_000, is_half=True, template=None
)


@click.command()
@click.option("--quick", is_flag=True, help="A smaller model and shorter answers; under a minute.")
@click.option(
    "--model", type=click.Path(path_type=Path, exists=True), help="A GGUF file instead of random weights."
)
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the numbers, for programs.")
@click.option(
    "--markdown", type=click.Path(path_type=Path), help="Write the page docs/engine-performance.md."
)
def main(
    *, quick: bool, model: Path | None, rounds: int, json_file: Path | None, markdown: Path | None
) -> None:
    """Measure the local engine's batch beside llama-cpp-python one at a time; exit 0 unless that could not be done."""
    shape, tokens = (_QUICK, 32) if quick else (_FULL, 128)
    try:
        llama_library.install(Cache(Wishes.read().cache, _say))
    except Unavailable as error:
        raise click.ClickException(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="llm-service-engine-") as folder:
        path = (model or _made(Path(folder), shape)).resolve()
        name = model.name if model else _described(shape, path.stat().st_size)
        about = surroundings("none", "./scripts/bench engine" + " --quick" * quick)
        about = {**about, "model": name, "answers": f"{SEQUENCES}, of {tokens} tokens", "rounds": str(rounds)}
        try:
            result = measured(path, tokens, rounds, lambda what: _say(f"bench: {what}"))
        except RuntimeError as error:
            raise click.ClickException(str(error)) from error
    del about["kafka"]
    about["load"] += f"; {os.getloadavg()[0]:.1f} at the end"
    text = page(about, result)
    click.echo(text)
    if json_file is not None:
        json_file.write_text(json.dumps({"about": about, "numbers": asdict(result)}, indent=1) + "\n")
    if markdown is not None:
        markdown.write_text(text)


def _say(line: str) -> None:
    click.echo(line, err=True)


def _made(folder: Path, shape: Shape) -> Path:
    _say("bench: writing a model of random weights")
    return write(folder / "random.gguf", shape)


def _described(shape: Shape, size: int) -> str:
    return (
        f"random weights, llama, {size // 2 // 1_000_000} million numbers of 16 bits "
        f"({shape.layers} layers, {shape.width} wide, {shape.heads} heads), vocabulary of {shape.vocabulary:,}"
    )


if __name__ == "__main__":
    main()
