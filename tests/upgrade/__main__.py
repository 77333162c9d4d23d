"""``./scripts/upgrade``."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import sys
import tempfile
from pathlib import Path

import click

from scripts.benchmark.surroundings import surroundings
from tests.acceptance.stage import Stage
from tests.chaos.page import PAGE, keep, page
from tests.chaos.progress import Progress
from tests.services.bed import Bed
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.runtime import Unavailable
from tests.services.wishes import Wishes
from tests.standins.process import gigachat
from tests.upgrade.courses import COURSES, Result, play
from tests.upgrade.version import NoSuchVersion, described, unpacked

_EPILOG = """\b
Examples:
  ./scripts/upgrade                                      all courses, some four minutes
  ./scripts/upgrade --course "rolling in exactly_once, and back" --from HEAD~20
  ./scripts/upgrade --json | jq .holds

\b
Exit codes: 0 no task is lost, 1 one is or is answered wrongly, 2 the command line is wrong, 69 a service or
the commit can't be had.
"""


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--course", "names", type=click.Choice(list(COURSES)), multiple=True, help="Only this; may be repeated."
)
@click.option("--from", "commit", help="The commit to come from; each course has its own unless given.")
@click.option("--seed", type=int, help="Of the load; a new one unless given.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("--record", is_flag=True, help="Keep it as docs/evidence/upgrade.json, and make the page anew.")
def main(
    *, names: tuple[str, ...], commit: str | None, seed: int | None, as_json: bool, record: bool
) -> None:
    """Replace busy workers of an earlier commit by those of this one; then judge what became of their tasks."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    progress = Progress()
    bed = Bed(Wishes.read(), progress.say)
    try:
        about, results = _played(names or tuple(COURSES), commit, seed, bed, progress)
    except (Unavailable, NoSuchVersion) as error:
        click.echo(str(error), err=True)
        sys.exit(69)
    except KeyboardInterrupt:
        click.echo("interrupted; nothing is left running", err=True)
        sys.exit(130)
    finally:
        bed.close()
    holds = not any(result.wrong for result in results)
    found = {"about": about, "holds": holds, "courses": [result.plain() for result in results]}
    if record:
        keep("upgrade", found)
        PAGE.write_text(page(), "utf-8")
    if as_json:
        click.echo(json.dumps(found))
    else:
        _print(results)
    sys.exit(0 if holds else 1)


def _played(
    names: tuple[str, ...], commit: str | None, seed: int, bed: Bed, progress: Progress
) -> tuple[dict[str, str], list[Result]]:
    kafka, minio = bed.get("kafka"), bed.get("minio")
    assert isinstance(kafka, Kafka)
    assert isinstance(minio, MinioServer)
    about = dict(surroundings(kafka.how, f"./scripts/upgrade --seed {seed} --record")) | {"seed": str(seed)}
    results = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="llm-service-upgrade-") as place:
            folder = Path(place)
            version = described(commit or COURSES[name][0])
            old = unpacked(version.commit, folder / "old")
            progress.say(f"{name}: from {version.commit}")
            with gigachat(folder=folder) as standin:
                stage = Stage.build(kafka, minio, standin, folder)
                results.append(asyncio.run(play(name, version, old, stage, seed, progress.say)))
    return about, results


def _print(results: list[Result]) -> None:
    for result in results:
        click.echo(
            f"{'holds' if not result.wrong else 'FAILS'}  {result.course}, from {result.begins['commit']}"
        )
        for step in result.steps:
            click.echo(f"         {step}")
        click.echo("         " + ", ".join(f"{count} {what}" for what, count in result.numbers.items()))
        for sentence in result.wrong:
            click.echo(f"         wrong: {sentence}")


if __name__ == "__main__":
    main(prog_name="./scripts/upgrade")
