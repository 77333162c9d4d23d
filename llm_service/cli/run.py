"""``llm-service run``: one worker, from its settings until a signal."""

from __future__ import annotations

from pathlib import Path

import click

from llm_service.cli.options import env_file_option

_EXAMPLES = """\b
Examples:
  llm-service run                                  settings of the environment and .env
  llm-service run --env-file production.env
  WORKER_MAX_CONCURRENT_TASKS=50 llm-service run   50 tasks at once
  kill -HUP "$WORKER_PID"                          read the prompts again

\b
Exit codes: 0 stopped on request, drained and committed; 69 a dependency could not be reached; 70 start
it again; 78 the settings are wrong; 130 a second signal ended it without draining.
"""


@click.command("run", epilog=_EXAMPLES)
@env_file_option
def command(env_file: Path) -> None:
    """Run the worker until it is told to stop.

    SIGTERM or Ctrl-C let running tasks end, and a second one ends it at once. SIGHUP reads the prompts again.
    """
    from llm_service.cli.running.worker import run_worker

    run_worker(env_file)
