"""What is counted of the local engine: names, and how its events become them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_service import events
from llm_service.observability import labels
from llm_service.observability.metric import Kind, Metric

if TYPE_CHECKING:  # made from the names here
    from llm_service.observability.metrics import Metrics

ENGINE = (
    Metric(
        "engine_tokens",
        Kind.COUNTER,
        "Tokens of the local engine's answers; completion is its speed, cached over prompt what beginnings in common save.",
        (labels.ENGINE_TOKENS,),
        query="sum by (kind) (rate(llm_service_engine_tokens_total[5m]))",
    ),
    Metric(
        "engine_grammar_tokens",
        Kind.COUNTER,
        "Tokens chosen under a schema or a grammar.",
        (labels.GRAMMAR,),
        query="sum by (outcome) (rate(llm_service_engine_grammar_tokens_total[5m]))",
    ),
    Metric(
        "engine_grammar_seconds",
        Kind.COUNTER,
        "Time that the grammar took of these tokens.",
        (labels.GRAMMAR,),
        "seconds",
        "sum by (outcome) (rate(llm_service_engine_grammar_seconds_total[5m])) "
        "/ sum by (outcome) (rate(llm_service_engine_grammar_tokens_total[5m]))",
    ),
    Metric(
        "engine_processes",
        Kind.COUNTER,
        "What became of the local engine's processes.",
        (labels.ENGINE_ACTION,),
        query="sum by (action) (increase(llm_service_engine_processes_total[1h]))",
    ),
    Metric("engine_models", Kind.GAUGE, "Models that have their memory."),
    Metric("engine_model_bytes", Kind.GAUGE, "Memory they take, as judged from their files.", (), "bytes"),
    Metric("engine_answers_running", Kind.GAUGE, "Answers that the local engine is writing, of all models."),
    Metric("engine_answers_waiting", Kind.GAUGE, "Answers that wait for a place in its batch."),
    Metric("engine_cached_tokens", Kind.GAUGE, "Cells of its caches that hold a token."),
)
"""Followed by the local engine's events."""


def answered(series: Metrics, event: events.EngineAnswered) -> None:
    for kind in ("prompt", "cached", "completion"):
        series.engine_tokens.labels(kind).inc(getattr(event, f"{kind}_tokens"))
    series.engine_grammar_tokens.labels("hit").inc(event.hits)
    series.engine_grammar_tokens.labels("miss").inc(event.misses)
    series.engine_grammar_seconds.labels("hit").inc(event.hit_s)
    series.engine_grammar_seconds.labels("miss").inc(event.miss_s)


def at_present(series: Metrics, event: events.EngineState) -> None:
    series.engine_models.set(event.models)
    series.engine_model_bytes.set(event.model_bytes)
    series.engine_answers_running.set(event.running)
    series.engine_answers_waiting.set(event.waiting)
    series.engine_cached_tokens.set(event.cached_tokens)
