"""YAML as a configuration file needs it: plain values, no aliases, no key said twice, bounded in size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_MAX_BYTES = 1_048_576
"""A hundred prompts of ten kilobytes; the parser is pure Python and takes seconds for more."""


class YamlRefusedError(Exception):
    """The file can't be read; the sentence says why and where."""


def read_yaml(path: Path) -> tuple[object, list[str]]:
    """The file's value, and a sentence for each key that is said twice in one mapping (the first one counts).

    Raises YamlRefusedError when there is no value to speak of.
    """
    text = _text(path)
    loader = _StrictLoader(text)
    try:
        value: object = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise YamlRefusedError(f"{line}{error.problem or error}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise YamlRefusedError(str(error)[:200]) from None
    except RecursionError:
        raise YamlRefusedError("it is nested too deep") from None
    finally:
        loader.dispose()
    return value, loader.repeated


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise YamlRefusedError(f"it can't be read: {error.strerror}") from None
    if len(raw) > _MAX_BYTES:
        raise YamlRefusedError(f"it has more than {_MAX_BYTES} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlRefusedError(f"it is not UTF-8 at byte {error.start}") from None


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that tells repeated keys and takes no aliases (few lines, billions of values)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.repeated: list[str] = []

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not read here", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                raise yaml.MarkedYAMLError(
                    problem="a key must be plain text", problem_mark=key_node.start_mark
                )
            if key in mapping:
                self.repeated.append(f"line {key_node.start_mark.line + 1}: {str(key)[:60]!r} is said twice")
                continue
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping
