"""The service as /status, /ready and the metrics see it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from llm_service.container.kafka import window
from llm_service.container.service import Service
from llm_service.observability.state import Queues, Workers
from llm_service.tasks.course import Stage


class ServiceView:
    """Answers from the parts themselves; nothing here is kept."""

    def __init__(self, service: Service) -> None:
        self._service = service

    # --- /health, /status, /live, /ready --------------------------------------------------------

    def uptime_s(self) -> float:
        return self._service.clock.monotonic() - self._service.started_at

    def workers(self) -> Workers:
        return Workers(max=self._service.pool.size, active=self._service.pool.active)

    def queues(self) -> Queues:
        return Queues(processing=self._service.taken, deduplication=len(self._service.window))

    def shutting_down(self) -> bool:
        return self._service.stopping

    def unready_reasons(self) -> Sequence[str]:
        service = self._service
        reasons = [f"{component}: {reason}" for component, reason in service.watch.failures.items()]
        if service.source is None:
            reasons.append("starting")
        if service.letter_stop.reason is not None:
            reasons.append(f"no tasks are taken: {service.letter_stop.reason}")
        if service.refusal is not None:
            reasons.append(f"kafka: the group lets this worker read nothing: {service.refusal}")
        if service.unsettled is not None:
            reasons.append(f"kafka: nothing is settled: {service.unsettled}")
        return reasons

    def consumer_silence_s(self) -> float | None:
        source = self._service.source
        if source is None or self._service.stopping:
            return None
        return source.stalled_s(self._service.clock.monotonic())

    def details(self) -> Mapping[str, object]:
        service = self._service
        log = service.operation_log
        return {
            "worker_id": service.settings.worker.worker_id,
            "partitions": service.source.assigned if service.source is not None else 0,
            # Outcomes that came after their partition had left: dropped, and done by its new owner.
            "stale_outcomes": service.source.stale_outcomes if service.source is not None else 0,
            "lag": sum(service.news.lag.values()),
            # Full: the worker has all it can hold, and reads no more until a task ends.
            "window": {
                "size": window(service.settings),
                "full": service.source is not None and service.source.is_full,
            },
            "tasks": {stage.name.lower(): service.count(stage) for stage in Stage},
            "retry": self._retry(),
            "providers": {
                name: {"breaker": guard.state, "calls": guard.in_progress}
                for name, guard in service.guards.items()
            },
            # Beside /ready: no task needs it.
            "operation_log": {"up": log.up, "queued": log.queued, "dropped": log.dropped} if log else None,
            "ledger": self._ledger(),
        }

    def notes(self) -> Mapping[str, str]:
        parts = self._service.ledger_parts
        return {} if parts is None or parts.ledger.up else {"ledger": f"down: {parts.ledger.reason}"}

    def _ledger(self) -> Mapping[str, object] | None:
        parts = self._service.ledger_parts
        if parts is None:
            return None
        ledger, fold = parts.ledger, parts.fold
        return {
            "up": ledger.up,
            "reason": ledger.reason,
            "rows": ledger.written,
            "fold": {"lag": fold.lag, "rows": fold.repaired},
        }

    def _retry(self) -> Mapping[str, object] | None:
        """What waits on the retry topic of our partitions; None without one."""
        topic = self._service.settings.kafka.retry_topic_in_use
        if topic is None:
            return None
        lag = sum(count for (name, _), count in self._service.news.lag.items() if name == topic)
        return {"topic": topic, "waiting": lag, "held_until_due": self.retry_held()}

    # --- gauges ---------------------------------------------------------------------------------

    def is_ready(self) -> bool:
        return not self.shutting_down() and not self.unready_reasons()

    def unfinished(self) -> int:
        return self._service.taken

    def calls_in_progress(self) -> Mapping[str, int]:
        return {name: guard.in_progress for name, guard in self._service.guards.items()}

    def operation_log(self) -> tuple[int, int] | None:
        log = self._service.operation_log
        return None if log is None else (log.queued, log.dropped)

    def ledger(self) -> tuple[int, int, int | None] | None:
        parts = self._service.ledger_parts
        return None if parts is None else (parts.ledger.written, parts.fold.repaired, parts.fold.lag)

    def workers_max(self) -> int:
        return self._service.pool.size

    def in_flight(self) -> int:
        return self._service.pool.active

    def queued(self) -> int:
        return self._service.pool.waiting

    def waiting(self) -> int:
        return self._service.pool.blocked

    def retry_held(self) -> int:
        source = self._service.source
        return 0 if source is None else source.held_until_due

    def window(self) -> int:
        return len(self._service.window)

    def loop_tasks(self) -> int:
        return len(asyncio.all_tasks())

    def oldest_unfinished_s(self) -> float:
        oldest = self._service.oldest_received_at()
        return 0.0 if oldest is None else self._service.clock.monotonic() - oldest

    def breaker_states(self) -> Mapping[str, str]:
        return {name: guard.state for name, guard in self._service.guards.items()}

    def rate_factors(self) -> Mapping[str, float]:
        return {name: guard.rate_factor for name, guard in self._service.guards.items()}

    def lag(self) -> Mapping[tuple[str, int], int]:
        return self._service.news.lag
