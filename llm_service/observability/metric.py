"""What is known of a metric: the entry of the registry that series, docs and alerts are made from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

NAMESPACE = "llm_service"


class Kind(StrEnum):
    """As Prometheus knows them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


_SUFFIXES = {Kind.COUNTER: "_total", Kind.INFO: "_info"}


@dataclass(frozen=True, slots=True)
class Label:
    """A label: its name, and what it can be. All of it are words of our own or of the settings, never a task's."""

    name: str
    meaning: str
    values: tuple[str, ...] = ()
    """All of them where they are few: then each series is there from the start, and a rate misses no first one."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. ``query`` is a PromQL expression that shows it, empty where the metric itself does."""

    name: str
    """Without namespace and suffix."""
    kind: Kind
    meaning: str
    labels: tuple[Label, ...] = ()
    unit: str = ""
    query: str = ""

    @property
    def exposed(self) -> str:
        """The name that queries use; a histogram's ends with ``_bucket``, ``_sum`` and ``_count`` besides."""
        return f"{NAMESPACE}_{self.name}{_SUFFIXES.get(self.kind, '')}"

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)
