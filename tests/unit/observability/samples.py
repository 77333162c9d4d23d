"""Events as a task's life gives them."""

from __future__ import annotations

from llm_service import events
from llm_service.observability.build import Build

BUILD = Build("1.2.3", "3.11.7", "2.11.0", "abc")

REF = events.TaskRef(
    "7b0e1111-aaaa-4bbb-8ccc-1234567890ab", "5c1d1111-aaaa-4bbb-8ccc-1234567890ab", "tasks_llm", 3, 42
)


def settled(code: str = "success", message: str = "", *, provider: str = "gigachat") -> events.TaskSettled:
    return events.TaskSettled(
        task=REF,
        status=3 if code == "success" else 4,
        code=code,
        message=message,
        provider=provider,
        model="GigaChat-Max",
        seconds=1.25,
        prompt_tokens=100,
        completion_tokens=50,
        dead_letter=code != "success",
        cost=0.002 if code == "success" else None,
    )


def life() -> list[events.Event]:
    """One task with a file, from receipt to outcome."""
    return [
        events.TaskReceived(REF),
        events.TaskStarted(REF, "gigachat", "GigaChat-Max", 0.01),
        events.StageFinished(REF, "fetch", 0.1),
        events.FileLoaded(REF, "documents/a.pdf", 1000),
        events.StageFinished(REF, "convert", 0.1),
        events.ProviderCalled("gigachat", "GigaChat-Max", "success", 1.0, 0.0, 0.01, 0.4),
        events.StageFinished(REF, "provider", 1.0),
        events.StageFinished(REF, "settle", 0.02),
        settled(),
    ]
