"""What ``ask`` shows: the answer on stdout, what is known of it on stderr."""

from __future__ import annotations

from collections.abc import Sequence

import click

from llm_service.cli.printable import json_line, printable, printable_line
from llm_service.providers.protocol import Completion, Document, FinishReason


class Screen:
    """For people; for programs with ``as_json``, an object a line, the last of which is the whole."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._last = "\n"
        self._hidden = 0

    def documents(self, documents: Sequence[Document]) -> None:
        """What is about to be asked about: where characters in it are seen by nobody but the model."""
        self._hidden = sum(document.hidden for document in documents)
        for document in documents:
            if document.hidden and not self._as_json:
                number = "1 character" if document.hidden == 1 else f"{document.hidden} characters"
                self.note(
                    f"{document.name!r} holds {number} that can't be seen; the model is shown [hidden ...] in their place."
                )

    def piece(self, text: str) -> None:
        """A part of an answer that is still being written."""
        if self._as_json:
            click.echo(json_line({"delta": text}))
            return
        shown = printable(text)
        click.echo(shown, nl=False)
        self._last = shown[-1:] or self._last

    def again(self) -> None:
        """The parts so far are void: it is written anew."""
        if self._as_json:
            click.echo(json_line({"begins_again": True}))
            return
        if self._last != "\n":
            click.echo()
            self._last = "\n"
        self.note("The model's process died; the answer begins again.")

    def note(self, text: str) -> None:
        """What is being waited for."""
        click.echo(printable_line(text), err=True)

    def answer(self, provider: str, text: str, answer: Completion, *, is_shown: bool) -> None:
        """The whole of it, and what it took. ``is_shown``: its pieces were."""
        if self._as_json:
            click.echo(json_line(_object(provider, text, answer, self._hidden)))
            return
        if not is_shown:
            click.echo(printable(text))
        elif self._last != "\n":
            click.echo()
        click.echo(_told(provider, answer), err=True)


def _object(provider: str, text: str, answer: Completion, hidden: int) -> dict[str, object]:
    usage, timings = answer.usage, answer.timings
    return {
        "text": text,
        "provider": provider,
        "model": answer.model,
        "finish_reason": answer.finish_reason.value,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cached_tokens": usage.cached_tokens,
        },
        "cost": answer.cost,
        "hidden_chars": hidden,
        "connect_s": timings.connect_s,
        "first_token_s": timings.first_token_s,
        "whole_s": timings.whole_s,
        "not_held": [] if answer.held is None else list(answer.held.unenforced),
    }


def _told(provider: str, answer: Completion) -> str:
    parts = [f"{provider}, {printable_line(answer.model)}"]
    usage, timings = answer.usage, answer.timings
    if usage.prompt_tokens is not None and usage.completion_tokens is not None:
        parts.append(f"{usage.prompt_tokens} tokens read, {usage.completion_tokens} written")
    if answer.cost is not None:
        parts.append(f"${answer.cost:.6f}")
    if timings.first_token_s is not None:
        parts.append(f"first after {timings.first_token_s:.1f} s")
    if timings.whole_s is not None:
        parts.append(f"all in {timings.whole_s:.1f} s")
    if answer.held is not None and answer.held.unenforced:
        parts.append(f"checked after, not held: {'; '.join(map(printable_line, answer.held.unenforced))}")
    if answer.finish_reason is FinishReason.LENGTH:
        parts.append("cut by the limit of tokens")
    return "; ".join(parts)
