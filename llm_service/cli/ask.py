"""``llm-service ask``: one question to one provider."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from llm_service.cli.options import env_file_option, json_option

_EXAMPLES = """\b
Examples:
  llm-service ask "What is in it?" --file contract.pdf
  llm-service ask "Write a letter" --provider openai --model gpt-5-mini --stream
  llm-service ask "Who sent it?" --file letter.txt --schema answer.json | jq .
  llm-service ask - --provider ollama < question.txt

\b
Exit codes: 0 it answered, 1 it could not, or not as the schema asks,
69 it can't be reached, 78 the settings are wrong.
"""
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("ask", epilog=_EXAMPLES)
@click.argument("text")
@click.option(
    "--file", "files", multiple=True, type=_FILE, help="A document or picture; may be given several times."
)
@click.option("--provider", help="Who is asked; without it the one that tasks go to.")
@click.option("--model", help="A model of that provider; without it its usual one.")
@click.option("--system", help="The system message.")
@click.option("--schema", type=_FILE, help="A file with a JSON Schema that the answer must match.")
@click.option("--stream", is_flag=True, help="Show the answer while it is being written.")
@json_option
@env_file_option
def command(  # noqa: PLR0913 - one for each option
    *,
    text: str,
    files: tuple[Path, ...],
    provider: str | None,
    model: str | None,
    system: str | None,
    schema: Path | None,
    stream: bool,
    as_json: bool,
    env_file: Path,
) -> None:
    """Ask a provider directly, without Kafka: one question (- reads it from standard input), one answer on stdout.

    The settings are those of the worker. Nothing is tried again, and nothing is kept.
    """
    from llm_service.cli.asking.course import Question, ask
    from llm_service.cli.asking.screen import Screen
    from llm_service.cli.conduct import conduct
    from llm_service.container.inspection import settings_in_force

    words = text
    if words == "-":
        words = sys.stdin.read()
    if not words.strip() and not files:
        raise click.UsageError("There is nothing to ask: give a text, or a file with --file.")
    question = Question(words, files, provider, model, system, schema, as_stream=stream)
    settings = settings_in_force(env_file)
    conduct(lambda: ask(question, settings, Screen(as_json=as_json)))
