"""Several observers as one."""

from __future__ import annotations

from loguru import logger

from llm_service.events import Event, Observer


def fan_out(*observers: Observer) -> Observer:
    """An observer that tells all of these. One that fails is logged: it must not stop a task, nor the others."""

    def tell(event: Event) -> None:
        for observer in observers:
            try:
                observer(event)
            except Exception:  # whatever it is, the task comes first
                logger.opt(exception=True).bind(event=type(event).__name__).error("observer_failed")

    return tell
