"""Checks layers of values against the tree, and finds all that is wrong instead of the first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from llm_service.settings.group import LENIENT, Group
from llm_service.settings.layers import Layer
from llm_service.settings.problem import Inspection, Problem
from llm_service.settings.root import Settings
from llm_service.settings.tree import Setting, group_of, names_of, walk


@dataclass(slots=True)
class Diagnosis:
    """The settings as far as they are right, and what is wrong with the rest."""

    settings: Settings
    """Where a value is wrong its default stands."""
    unread: list[Problem] = field(default_factory=list)
    """Sources and files that can't be read."""
    wrong: list[Problem] = field(default_factory=list)
    """Values that are wrong, alone or together, in the order of the tree."""

    @property
    def is_right(self) -> bool:
        return not self.unread and not self.wrong


def diagnose(layers: Sequence[Layer], inspect: Inspection | None = None) -> Diagnosis:
    """The values of these layers, the first of which wins.

    ``inspect`` looks further than the values; what it says of a setting that is known to be wrong is left out.
    """
    unread = [problem for layer in layers for problem in layer.problems]
    suspects = {name for problem in unread for name in problem.names}
    by_place = {(setting.group, setting.field): setting for setting in walk(Settings)}
    groups: dict[str, Group] = {}
    alone: list[Problem] = []
    together: list[Problem] = []
    for name, root_field in Settings.model_fields.items():
        own = {place[1]: setting for place, setting in by_place.items() if place[0] == name}
        group = group_of(root_field)
        texts = _texts(group, layers)
        groups[name], found = _right(group, texts, own)
        named = suspects | {name for problem in found for name in problem.names}
        fields = {name for name, setting in own.items() if named & set(setting.names)}
        alone += found
        together += _about_others(groups[name].conflicts(fields), named)
        together += [problem for name in texts for problem in _given_twice(own[name], layers)]
    # Not validated as a whole: its own conflicts would end the search.
    settings = Settings.model_construct(**dict[str, Any](groups))
    named = suspects | {name for problem in alone for name in problem.names}
    together += _about_others(settings.conflicts(), named)
    together += _about_others(inspect(settings), named) if inspect is not None else []
    return Diagnosis(settings, unread, sorted((*alone, *together), key=_order(by_place.values())))


def _right(
    group: type[Group], texts: Mapping[str, str], settings: Mapping[str, Setting]
) -> tuple[Group, list[Problem]]:
    """The group of those texts that are right, and what is wrong with the others."""
    try:
        return group.model_validate(texts, context=LENIENT), []
    except ValidationError as error:
        details = {str(detail["loc"][0]): detail for detail in error.errors(include_url=False)}
    wrong = [Problem((settings[name].name,), _reason(each, settings[name])) for name, each in details.items()]
    right = {name: text for name, text in texts.items() if name not in details}
    return group.model_validate(right, context=LENIENT), wrong


def _texts(group: type[Group], layers: Sequence[Layer]) -> dict[str, str]:
    """Of each field the text of the first layer that has one of its names."""
    found: dict[str, str] = {}
    for name, each in group.model_fields.items():
        names = names_of(each)
        texts = (layer.values[alias] for layer in layers for alias in names if alias in layer.values)
        if (text := next(texts, None)) is not None:
            found[name] = text
    return found


def _given_twice(setting: Setting, layers: Sequence[Layer]) -> Iterable[Problem]:
    """One setting by two of its names with different values: which was meant is not for us to guess."""
    for layer in layers:
        given = [name for name in setting.names if name in layer.values]
        if given:
            if len({layer.values[name] for name in given}) > 1:
                yield Problem(
                    tuple(given), "names of one setting with different values: take one of them out"
                )
            return


def _reason(detail: ErrorDetails, setting: Setting) -> str:
    if detail["type"] == "settings_value":
        return f"{detail['ctx']['reason']}; expected {setting.expected}"
    return f"expected {setting.expected}"


def _about_others(problems: Iterable[Problem], named: set[str]) -> list[Problem]:
    """Those that are not about a setting that is known to be wrong: they may follow from that alone."""
    return [problem for problem in problems if not named & set(problem.names)]


def _order(settings: Iterable[Setting]) -> Any:
    places = {name: place for place, setting in enumerate(settings) for name in setting.names}
    return lambda problem: min((places[name] for name in problem.names), default=len(places))
