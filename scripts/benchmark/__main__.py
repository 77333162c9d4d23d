"""``./scripts/bench``."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Protocol

import click
from confluent_kafka import KafkaException

from scripts.benchmark.contender import PLAIN, WORKER, Contender
from scripts.benchmark.measures import CpuPerTask, Memory, Numbers, Place, PoolEfficiency
from scripts.benchmark.progress import ProgressLine
from scripts.benchmark.results import Results
from scripts.benchmark.surroundings import surroundings
from scripts.benchmark.table import page, terminal_table
from scripts.benchmark.topics import Topics
from tests.services.bed import Bed
from tests.services.kafka import Kafka
from tests.services.reaper import Reaper
from tests.services.runtime import Unavailable
from tests.services.wishes import Wishes


class _Measure(Protocol):
    def run(self, contender: Contender, place: Place, tell: Callable[[str], None]) -> Numbers: ...


def _measures(*, quick: bool) -> Mapping[str, tuple[_Measure, int]]:
    """By scenario: what is run, and how often for each of the two."""
    tasks, idle_s = (5_000, 2.0) if quick else (20_000, 3.0)
    rounds = 1 if quick else 2
    return {
        "cpu": (CpuPerTask(tasks, 10, idle_s), rounds),
        "cpu_100": (CpuPerTask(tasks, 100, idle_s), rounds),
        "pool_10": (PoolEfficiency(10, 1.0, 5 if quick else 10), 1),
        "pool_200": (PoolEfficiency(200, 0.1, 30 if quick else 100), rounds),
        "memory": (Memory(1.0, 4.0 if quick else 15.0), 1),
    }


@click.command()
@click.option("--quick", is_flag=True, help="Less of each; under two minutes.")
@click.option(
    "--only", metavar="SCENARIO", help="One of cpu, cpu_100, pool_10, pool_200, memory; no table of all."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the numbers, for programs.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the page, for docs/performance.md.")
def main(*, quick: bool, only: str | None, json_file: Path | None, markdown: Path | None) -> None:
    """Measure the worker on a real Kafka beside the plain aiokafka loop; exit 0 unless that could not be done."""
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    progress = ProgressLine()
    bed = Bed(Wishes.read(), progress.tell)
    reaper = Reaper()
    try:
        progress.step("starting Kafka")
        kafka = bed.get("kafka")
        if not isinstance(kafka, Kafka):
            raise TypeError("the test bed gave something else for kafka")
        about = surroundings(kafka.how, "./scripts/bench --quick" if quick else "./scripts/bench")
        results = Results()
        for name, (measure, rounds) in _measures(quick=quick).items():
            if only in (None, name):
                _run(name, measure, rounds, kafka, reaper, results, progress)
    except (RuntimeError, Unavailable, KafkaException) as error:
        progress.close()
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        progress.close()
        sys.exit(130)
    finally:
        reaper.close()
        bed.close()
    progress.close()
    if only is not None:
        for (_, contender, number), values in results.values.items():
            click.echo(f"{contender:10}  {number:20}  {', '.join(f'{value:.1f}' for value in values)}")
        return
    _show(results, about, time.monotonic() - began, json_file, markdown)


def _run(
    name: str,
    measure: _Measure,
    rounds: int,
    kafka: Kafka,
    reaper: Reaper,
    results: Results,
    progress: ProgressLine,
) -> None:
    """In turn, so that what else the machine does falls on both."""
    for number in range(rounds):
        for contender in (WORKER, PLAIN):
            progress.step(f"{name}, {contender.name}, {number + 1} of {rounds}")
            with tempfile.TemporaryDirectory(prefix="llm-service-bench-") as folder:
                place = Place(Topics.create(kafka), Path(folder), reaper)
                results.add(name, contender.name, measure.run(contender, place, progress.tell))


def _show(
    results: Results, about: Mapping[str, str], seconds: float, json_file: Path | None, markdown: Path | None
) -> None:
    for label, value in about.items():
        click.echo(f"{label}: {value}")
    click.echo(f"took: {seconds:.0f} s\n\n{terminal_table(results)}")
    if json_file is not None:
        content = {**about, "seconds": round(seconds), "results": results.plain()}
        json_file.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")
    if markdown is not None:
        markdown.write_text(page(results, about), "utf-8")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main(prog_name="./scripts/bench")
