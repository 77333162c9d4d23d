"""The registry of metrics, and what must agree with it: the series, the page, the alerts, and who may write any."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

import llm_service
from llm_service.observability.gauges import register_gauges
from llm_service.observability.metric import Kind, Metric
from llm_service.observability.metric_names import ALL, ASKED, FOLLOWED
from llm_service.observability.metrics import Metrics
from llm_service.observability.page import page
from tests.unit.observability.samples import BUILD
from tests.unit.observability.test_metrics import FixedGauges

ROOT = Path(llm_service.__file__).parent
REPOSITORY = ROOT.parent
ALERTS = REPOSITORY / "deploy" / "prometheus" / "alerts.yml"
PATH_OF_A_TASK = ("tasks", "kafka", "providers", "files", "resilience", "prompts", "contract", "ledger")


def test_every_entry_is_a_series_and_every_series_an_entry() -> None:
    metrics = Metrics.create(BUILD)
    register_gauges(metrics, FixedGauges(), lambda: {"terminal": 0})
    exposed = {
        (family.name, family.type)
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
        if family.name.startswith("llm_service_")
    }
    # The text format writes an info as a gauge of that name.
    expected = {
        (metric.exposed.removesuffix("_total"), "gauge" if metric.kind is Kind.INFO else str(metric.kind))
        for metric in ALL.values()
    }
    assert exposed == expected
    assert len(ALL) == len(FOLLOWED) + len(ASKED), "no name twice"


@pytest.mark.parametrize("metric", FOLLOWED, ids=lambda metric: metric.name)
def test_a_collector_has_the_type_and_labels_of_its_entry(metric: Metric) -> None:
    collector = getattr(Metrics.create(BUILD), metric.name)
    assert type(collector).__name__.lower() == metric.kind
    assert metric.kind is Kind.INFO or collector._labelnames == metric.label_names
    assert metric.meaning.endswith(".")


def test_the_typed_fields_are_the_registry() -> None:
    typed = {field.name: str(field.type).lower() for field in fields(Metrics) if field.name != "registry"}
    assert typed == {metric.name: str(metric.kind) for metric in FOLLOWED}


def test_the_page_is_made_from_it() -> None:
    assert (REPOSITORY / "docs" / "metrics.md").read_text("utf-8") == page(), (
        "run: python -m llm_service.observability.page > docs/metrics.md"
    )


# --- alerts ---------------------------------------------------------------------------------------


def known_names() -> set[str]:
    names = {"process_start_time_seconds"}
    for metric in ALL.values():
        suffixes = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
        names |= {metric.exposed + suffix for suffix in suffixes}
    return names


def rules() -> list[dict[str, Any]]:
    loaded = yaml.safe_load(ALERTS.read_text("utf-8"))
    found: list[dict[str, Any]] = [rule for group in loaded["groups"] for rule in group["rules"]]
    return found


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:llm_service|process)_\w+", expression))


def test_every_query_of_the_registry_names_what_is_there() -> None:
    for metric in ALL.values():
        assert names_in(metric.query) <= known_names(), metric.name


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_names_what_is_there_and_what_to_do(rule: dict[str, Any]) -> None:
    assert names_in(rule["expr"])
    assert names_in(rule["expr"]) <= known_names()
    assert names_in(rule["annotations"]["runbook"]) <= known_names()
    assert rule["labels"]["severity"] in {"warning", "critical"}
    labels = {label for metric in ALL.values() for label in metric.label_names} | {"instance", "job"}
    shown = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"] + rule["annotations"]["runbook"])
    assert set(shown) <= labels


# --- who may write --------------------------------------------------------------------------------


def imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def logging_calls(tree: ast.AST) -> set[str]:
    """Attributes that are used of ``logging`` or of a logger."""
    return {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value).startswith("logging")
    }


@pytest.mark.parametrize("room", PATH_OF_A_TASK)
def test_nothing_on_the_path_of_a_task_writes_a_log_or_a_metric(room: str) -> None:
    """It emits events. A library's own logger may be made silent, where what it says would be a document."""
    for module in (ROOT / room).rglob("*.py"):
        tree = ast.parse(module.read_text("utf-8"))
        assert not imports(tree) & {"loguru", "prometheus_client"}, module
        if "logging" in imports(tree):
            assert logging_calls(tree) <= {"getLogger", "setLevel"}, module
