"""``docs/metrics.md``, made from the registry: ``python -m llm_service.observability.page > docs/metrics.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from llm_service.observability.labels import error_codes
from llm_service.observability.metric import Kind, Label, Metric
from llm_service.observability.metric_names import ALL, ASKED, FOLLOWED
from llm_service.observability.metrics import BUCKETS_S

_HEAD = """# Metrics

Made by `python -m llm_service.observability.page > docs/metrics.md` from the registry in
`llm_service/observability/metric_names.py`; change nothing here by hand.

A worker shows them at `/metrics` of its HTTP address (`HTTP_HOST`, `HTTP_PORT`; on this machine alone unless told
otherwise), as Prometheus text or OpenMetrics. Labels are words of the service and its settings, never a task's text,
so the number of series is bounded. Alerts that use them: `deploy/prometheus/alerts.yml`.

"""

_PROCESS = """## The process

`process_start_time_seconds`, `process_cpu_seconds_total`, `process_resident_memory_bytes`,
`process_virtual_memory_bytes`, `process_open_fds` and `process_max_fds`, as every Prometheus client names them.
They are of the worker's own process; its children, which turn documents into text, are not in them.

"""


def page() -> str:
    """The whole page."""
    return "".join((_HEAD, *_sections(), _PROCESS, _queries(), _buckets(), _codes()))


def _sections() -> Iterator[str]:
    yield from _table(
        "What the worker does", "Followed event by event; counters start at 0 with the process.", FOLLOWED
    )
    yield from _table("How things stand", "Asked for at each scrape.", ASKED)


def _table(title: str, sentence: str, metrics: Iterable[Metric]) -> Iterator[str]:
    yield f"## {title}\n\n{sentence}\n\n| name | type | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n"
    for metric in metrics:
        labels = "<br>".join(_label(label) for label in metric.labels)
        yield f"| `{metric.exposed}` | {metric.kind} | {metric.unit} | {labels} | {metric.meaning} |\n"
    yield "\n"


def _label(label: Label) -> str:
    return f"`{label.name}`: {label.meaning}"


def _queries() -> str:
    lines = [f"- {metric.meaning}\n  `{metric.query}`\n" for metric in ALL.values() if metric.query]
    return "## Queries to begin with\n\n" + "".join(lines) + "\n"


def _buckets() -> str:
    names = ", ".join(f"`{metric.exposed}`" for metric in ALL.values() if metric.kind is Kind.HISTOGRAM)
    bounds = ", ".join(f"{bound:g}" for bound in BUCKETS_S)
    return f"## Buckets\n\nSeconds, for {names}: {bounds}.\n\n"


def _codes() -> str:
    rows = [f"| `{error.code}` | {_sentence(error.__doc__)} |\n" for error in error_codes()]
    return "## Codes\n\n| code | meaning |\n| --- | --- |\n| `success` | Done. |\n" + "".join(
        sorted(set(rows))
    )


def _sentence(docstring: str | None) -> str:
    first = (docstring or "").strip().partition("\n\n")[0]
    return " ".join(first.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
