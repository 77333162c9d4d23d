"""A conversation becomes the tokens its model was trained to see: the chat template that the model's file carries.

The template comes with the file, so it runs in a sandbox. What people and documents say never becomes a control token:
where a content spells one, it is put in as plain text between the parts of the template.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llm_service.engine.step import UnusableError

Turn: TypeAlias = tuple[str, str]
"""Role and content."""

# Of a file without a template: roles in words, which a model that was never taught a form follows best.
_PLAIN = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


class Tokenizer(Protocol):
    """A vocabulary: ``Weights`` is one."""

    def tokens(self, text: str, *, begin: bool, special: bool) -> list[int]: ...


class ChatForm:
    """The form of a model's conversations."""

    def __init__(
        self,
        template: str | None,
        ends: tuple[str, str],
        new_nonce: Callable[[], str],
        now: Callable[[], datetime],
    ) -> None:
        """``ends``: the texts of the tokens that begin and end a text, for templates that write them out.

        Raises UnusableError where the template can't be read.
        """
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals.update(raise_exception=_refuse, strftime_now=lambda form: now().strftime(form))
        try:
            self._template = environment.from_string(template or _PLAIN)
        except TemplateError as error:
            raise UnusableError(f"The model's chat template can't be read: {error}") from None
        self._names = {"bos_token": ends[0], "eos_token": ends[1]}
        self._new_nonce = new_nonce

    def tokens(self, turns: Sequence[Turn], tokenizer: Tokenizer) -> list[int]:
        """The prompt. Raises UnusableError where the template refuses the conversation."""
        contents = [content for _, content in turns]
        if not any(_spells_control(content, tokenizer) for content in contents):
            text = self._render(turns)
            return tokenizer.tokens(text, begin=not self._begins(text), special=True)
        # The template is rendered over stand-ins, and each piece is read in its own way.
        marks = [self._new_nonce() for _ in turns]
        text = self._render([(role, mark) for (role, _), mark in zip(turns, marks, strict=True)])
        found: list[int] = []
        begin = not self._begins(text)
        for place, (piece, is_content) in enumerate(_split(text, dict(zip(marks, contents, strict=True)))):
            found += tokenizer.tokens(piece, begin=begin and place == 0, special=not is_content)
        return found

    def _begins(self, text: str) -> bool:
        """Whether the template wrote out the token that begins a text, which must not come twice."""
        begin = self._names["bos_token"]
        return bool(begin) and text.startswith(begin)

    def _render(self, turns: Sequence[Turn]) -> str:
        messages = [{"role": role, "content": content} for role, content in turns]
        try:
            return self._template.render(messages=messages, add_generation_prompt=True, **self._names)
        except TemplateError as error:
            raise UnusableError(f"The model's chat template refuses these messages: {error}") from None
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise UnusableError(
                f"The model's chat template fails on these messages ({type(error).__name__})."
            ) from None


def _spells_control(content: str, tokenizer: Tokenizer) -> bool:
    as_text = tokenizer.tokens(content, begin=False, special=False)
    return as_text != tokenizer.tokens(content, begin=False, special=True)


def _split(text: str, contents: dict[str, str]) -> Iterator[tuple[str, bool]]:
    """The template's own text and the contents in turn, and whether each is a content."""
    while text:
        places = {mark: text.find(mark) for mark in contents}
        met = {place: mark for mark, place in places.items() if place >= 0}
        if not met:
            yield text, False
            return
        first = min(met)
        mark = met[first]
        if first:
            yield text[:first], False
        yield contents[mark], True
        text = text[first + len(mark) :]


def _to_json(value: object, indent: int | None = None) -> str:
    # jinja2's own escapes for HTML, which a prompt is not.
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> str:
    raise TemplateError(message)
