"""How a task ended, in the words of the contract and of those who listen."""

from __future__ import annotations

from llm_service import events
from llm_service.contract.status import Failure, Status, Success
from llm_service.errors import AnswerError, IdConflict, ServiceError, TaskTooCostly
from llm_service.tasks.course import Course
from llm_service.tasks.outcome import Decided
from llm_service.tasks.plan import Plan
from llm_service.tasks.ports import Delivery
from llm_service.tasks.rounds import Going
from llm_service.tasks.work import Answer


def succeeded(answer: Answer, plan: Plan, elapsed_ms: int, course: Course) -> Success:
    """The event of an answer that holds."""
    tried = course.tried
    return Success(
        text=answer.text,
        provider=tried[-1].provider if tried else plan.provider,
        model=answer.completion.model,
        finish_reason=answer.completion.finish_reason.value,
        prompt_tokens=answer.usage.prompt_tokens,
        completion_tokens=answer.usage.completion_tokens,
        cost=answer.cost,
        processing_time_ms=elapsed_ms,
        tried=tuple(tried),
        altered=course.altered,
    )


def failed(
    error: ServiceError, provider: str | None, elapsed_ms: int, course: Course | None = None
) -> Failure:
    """The event of an error that ends the task; ``provider`` is whom it was meant for."""
    tried = course.tried if course is not None else []
    return Failure(
        code=error.code,
        message=error.message,
        retryable=error.retryable,
        provider=tried[-1].provider if tried else provider,
        tokens_used=error.tokens_used if isinstance(error, AnswerError | TaskTooCostly) else None,
        processing_time_ms=elapsed_ms,
        tried=tuple(tried),
        altered=course.altered if course is not None else (),
    )


def settled(
    ref: events.TaskRef, delivery: Delivery, decided: Decided, seconds: float
) -> events.TaskSettled | events.TaskSentRound:
    """What is told of a settled outcome; one without an event is an id conflict."""
    if decided.going is not None:
        return _sent_round(ref, delivery, decided.event, decided.going)
    has_letter = decided.outcome.dead_letter is not None
    event = decided.event
    if isinstance(event, Success):
        return events.TaskSettled(
            ref,
            Status.SUCCESS,
            "success",
            "",
            event.provider or "",
            event.model or "",
            seconds,
            event.prompt_tokens,
            event.completion_tokens,
            has_letter,
            event.cost,
            _shown(event),
            *_chars(event),
        )
    code, message = (event.code, event.message) if event is not None else (IdConflict.code, "")
    provider = (event.provider if event is not None else None) or ""
    return events.TaskSettled(
        ref,
        Status.FAILED,
        code,
        message,
        provider,
        "",
        seconds,
        None,
        None,
        has_letter,
        None,
        _shown(event),
        *_chars(event),
    )


def _shown(event: Failure | Success | None) -> str:
    return " ".join(f"{one.provider}:{one.code}" for one in event.tried) if event is not None else ""


def _chars(event: Failure | Success | None) -> tuple[int, int]:
    """Cut, and hidden."""
    altered = event.altered if event is not None else ()
    return sum(one.cut_chars for one in altered), sum(one.hidden_chars for one in altered)


def _sent_round(
    ref: events.TaskRef, delivery: Delivery, event: Success | Failure | None, going: Going
) -> events.TaskSentRound:
    code, message = (event.code, event.message) if isinstance(event, Failure) else (IdConflict.code, "")
    provider = (event.provider if event is not None else None) or ""
    waits = going.attempt == delivery.attempt
    return events.TaskSentRound(ref, code, message, provider, going.attempt, going.round, waits)
