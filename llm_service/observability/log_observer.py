"""Events into the log: one line for a settled task, and what an operator must know."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import islice

from loguru import logger

from llm_service import events
from llm_service.errors import AnswerError, ServiceError
from llm_service.events import Event, TaskRef


def _codes(base: type[ServiceError]) -> Iterator[str]:
    yield base.code
    for inner in base.__subclasses__():
        yield from _codes(inner)


QUOTING_CODES = frozenset(_codes(AnswerError))
"""Errors whose message may quote the model, and with it the document: the log has their code only."""

_DETAILS = frozenset(
    {
        events.TaskReceived,
        events.TaskRepeated,
        events.TaskStarted,
        events.TaskReleased,
        events.TaskCameBack,
        events.StageFinished,
        events.FileLoaded,
        events.ProviderCalled,
        events.ProviderRetried,
        events.TurnAwaited,
        events.EngineAnswered,
        events.EngineState,
        events.MessageSkipped,
        events.DropSkipped,
        events.OffsetsCommitted,
    }
)
"""Told by DEBUG alone, so that the many of a healthy task are left at the first look."""

TROUBLE_EVERY_S = 10.0
"""One line of one trouble of a component in this time: as often as /ready is expected to change."""
# Of a trouble, the words that are the same whatever topic or number it is about: so many tell one from another.
_WORDS = 4
# Kinds of trouble that are told apart at a time; librdkafka has words of its own.
_MOST_KINDS = 50


class LogObserver:
    """An observer that logs. ``debug`` adds every stage of every task, at the cost of a line each."""

    def __init__(self, *, debug: bool = False, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._debug = debug
        self._monotonic = monotonic
        self._troubled_at: dict[tuple[str, ...], float] = {}

    def __call__(self, event: Event) -> None:
        if self._debug or type(event) not in _DETAILS:
            self._log(event)

    def _log(self, event: Event) -> None:
        match event:
            case events.TaskSettled() | events.TaskSentRound():
                _task_line(event)
            case events.FellBack() | events.BreakerChanged() | events.RateChanged():
                _provider(event)
            case events.FilesLeft() | events.FilesSwept() | events.ModelPulled() | events.EngineChanged():
                _upkeep(event)
            case events.ConnectionChanged():
                _connection(event)
            case events.PartitionsRevoked() | events.PartitionsAssigned():
                _group(event)
            case (
                events.MessagesLost()
                | events.LogBegunAnew()
                | events.GroupAdopted()
                | events.OutcomeDropped()
            ):
                _past(event)
            case events.Trouble():
                self._trouble(event)
            case events.DropBecameTask() | events.DropRefused():
                _drop(event)
            case events.ConsumptionStopped() | events.ConsumptionResumed():
                _consumption(event)
            case events.TaskCrashed() | events.Uncaught():
                _bug(event)
            case _:
                if self._debug:
                    _detail(event)

    def _trouble(self, event: events.Trouble) -> None:
        """While a dependency is away every task meets the same, which must not hide another trouble of that component."""
        now = self._monotonic()
        words = (word for word in event.reason.split() if word.isalpha())
        kind = (event.component, *islice(words, _WORDS))
        last = self._troubled_at.get(kind)
        if last is not None and now - last < TROUBLE_EVERY_S:
            return
        if len(self._troubled_at) >= _MOST_KINDS:
            told = self._troubled_at.items()
            self._troubled_at = {known: at for known, at in told if now - at < TROUBLE_EVERY_S}
            if len(self._troubled_at) >= _MOST_KINDS:
                return
        self._troubled_at[kind] = now
        logger.bind(component=event.component, reason=event.reason).warning("trouble")


def _upkeep(
    event: events.FilesLeft | events.FilesSwept | events.ModelPulled | events.EngineChanged,
) -> None:
    """What lies at a provider, and what the local engine has loaded."""
    line = logger.bind(provider=event.provider)
    if isinstance(event, events.FilesSwept):
        line.bind(files=event.files).info("provider_files_swept")
    elif isinstance(event, events.FilesLeft):
        line.bind(files=",".join(event.file_ids)).warning("provider_files_left")
    elif isinstance(event, events.EngineChanged):
        # One that died or could not load its model is a trouble besides.
        line.bind(model=event.model, action=event.action, detail=event.detail).info("engine_changed")
    else:
        line.bind(model=event.model, server=event.server, progress=event.progress).info("model_pulled")


def _provider(event: events.FellBack | events.BreakerChanged | events.RateChanged) -> None:
    """What a provider did."""
    if isinstance(event, events.FellBack):
        line = logger.bind(**_task(event.task), provider=event.provider, model=event.model)
        line.bind(code=event.code, reason=event.reason, next=event.next_provider).warning("fell_back")
    elif isinstance(event, events.RateChanged):
        _rate(event)
    else:
        line = logger.bind(provider=event.provider, state=event.state, reason=event.reason)
        line.log("WARNING" if event.state == "open" else "INFO", "breaker_changed")


def _rate(event: events.RateChanged) -> None:
    shown = {"requests_per_minute": event.requests_per_minute, "tokens_per_minute": event.tokens_per_minute}
    line = logger.bind(provider=event.provider, model=event.model, reason=event.reason, **shown)
    line.log("WARNING" if event.reason == "throttled" else "INFO", "rate_changed")


def _group(event: events.PartitionsRevoked | events.PartitionsAssigned) -> None:
    line = logger.bind(topic=event.topic, partitions=",".join(map(str, event.partitions)))
    if isinstance(event, events.PartitionsAssigned):
        line.bind(finished_above=event.finished_above).info("partitions_assigned")
    elif event.lost:
        line.warning("partitions_lost")
    else:
        line.info("partitions_revoked")


def _past(
    event: events.MessagesLost | events.LogBegunAnew | events.GroupAdopted | events.OutcomeDropped,
) -> None:
    """What came too late, or was over before we came."""
    if isinstance(event, events.GroupAdopted):
        _adopted(event)
        return
    if isinstance(event, events.OutcomeDropped):
        logger.bind(task_id=event.task.task_id, trace_id=event.task.trace_id).warning("outcome_dropped")
        return
    line = logger.bind(topic=event.topic, partition=event.partition)
    if isinstance(event, events.MessagesLost):
        line.bind(first_offset=event.offset, count=event.count).error(
            "messages_lost: deleted before this group had done them; have them sent again, raise the topic's retention"
        )
    else:
        line.bind(
            old_finished=event.finished, first_offset=event.first, old_unfinished=event.unfinished
        ).error(
            "log_begun_anew: the topic was deleted and made anew, or has lost its end; it is read from its beginning"
        )


def _connection(event: events.ConnectionChanged) -> None:
    line = logger.bind(component=event.component)
    if event.up:
        line.info("connection_up")
    else:
        line.bind(reason=event.reason).warning("connection_down")


def _drop(event: events.DropBecameTask | events.DropRefused) -> None:
    place = f"{event.topic}/{event.partition}/{event.offset}"
    if isinstance(event, events.DropBecameTask):
        logger.bind(task_id=event.task_id, rule=event.rule, place=place).info("drop_became_task")
    else:
        logger.bind(code=event.code, reason=event.message, place=place).warning("drop_refused")


def _adopted(event: events.GroupAdopted) -> None:
    line = logger.bind(topic=event.topic, tasks=event.tasks, answered=event.answered, to_run=event.unanswered)
    line.bind(run_again=event.again, older_than_statuses=event.unknown).info(
        "group_adopted: what others had answered is not run again"
    )


def _task_line(event: events.TaskSettled | events.TaskSentRound) -> None:
    if isinstance(event, events.TaskSettled):
        _settled(event)
    else:
        _sent_round(event)


def _bug(event: events.TaskCrashed | events.Uncaught) -> None:
    if isinstance(event, events.TaskCrashed):
        logger.bind(**_task(event.task), traceback=event.traceback).error("task_crashed")
    else:
        shown = {"place": event.place, "what": event.what, "traceback": event.traceback}
        logger.bind(**shown).error("uncaught")


def _consumption(event: events.ConsumptionStopped | events.ConsumptionResumed) -> None:
    if isinstance(event, events.ConsumptionStopped):
        logger.bind(reason=event.reason, resume_by=event.command).error("consumption_stopped")
    else:
        logger.info("consumption_resumed")


def _settled(event: events.TaskSettled) -> None:
    """The one line of a task; its order is the order it is read in."""
    fields_shown: dict[str, object] = {
        "task_id": event.task.task_id,
        "trace_id": event.task.trace_id,
        "provider": event.provider,
        "seconds": event.seconds,
        "code": event.code,
    }
    if event.code != "success" and event.code not in QUOTING_CODES:
        fields_shown["reason"] = event.message
    if event.tried:
        fields_shown["tried"] = event.tried
    if event.cut_chars:
        fields_shown["cut_chars"] = event.cut_chars
    if event.hidden_chars:
        fields_shown["hidden_chars"] = event.hidden_chars
    # Who hides characters may mean to be followed: that is looked at.
    logger.bind(**fields_shown).log("WARNING" if event.hidden_chars else "INFO", "task_settled")


def _sent_round(event: events.TaskSentRound) -> None:
    shown = {
        "task_id": event.task.task_id,
        "trace_id": event.task.trace_id,
        "provider": event.provider,
        "code": event.code,
        "reason": event.message,
        "attempt": event.attempt,
        "round": event.round,
    }
    logger.bind(**shown).info("task_sent_round")


def _detail(event: Event) -> None:
    """Any other event with its fields, under its own name: ``stage_finished``."""
    shown: dict[str, object] = {}
    for field in fields(event):
        value = getattr(event, field.name)
        shown |= _task(value) if isinstance(value, TaskRef) else {field.name: value}
    logger.bind(**shown).debug(_action(type(event).__name__))


def _task(task: TaskRef) -> dict[str, object]:
    return {
        "task_id": task.task_id,
        "trace_id": task.trace_id,
        "place": f"{task.topic}/{task.partition}/{task.offset}",
    }


def _action(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
