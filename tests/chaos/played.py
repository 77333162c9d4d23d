"""A plan, played on services of its own, and judged by the checker as a program of its own."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from scripts.benchmark.surroundings import surroundings
from tests.acceptance.worker import ROOT
from tests.chaos.plan import Plan
from tests.chaos.progress import Progress
from tests.chaos.run import run
from tests.chaos.stage import served
from tests.services.runtime import Unavailable


def played(plan: Plan, folder: Path, command: str, *, as_json: bool) -> int:
    """The exit code; the recording and the report are in ``folder``, which is there and empty.

    ``command`` is what repeats the run, for the report.
    """
    # What aiokafka says of a broker that was killed on purpose is no news.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    progress = Progress()
    progress.say(f"seed {plan.seed}: {command}")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="llm-service-chaos-kafka-") as data,
            served(Path(data), progress.say) as services,
        ):
            about = surroundings(services.kafka.how, command)
            asyncio.run(run(plan, services, folder, about, progress))
    except Unavailable as error:
        click.echo(str(error), err=True)
        return 69
    except KeyboardInterrupt:
        click.echo("interrupted; nothing is left running", err=True)
        return 130
    progress.say("checking")
    checker = [sys.executable, "-m", "tests.chaos.checker", str(folder)] + ["--json"] * as_json
    return subprocess.run(checker, cwd=ROOT, check=False).returncode
