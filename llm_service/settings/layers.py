"""Where values come from: the environment, then ``.env``, each a layer of names and texts."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from dotenv.parser import parse_stream
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from llm_service.errors import SettingsInvalid
from llm_service.settings.tree import group_of, names_of

Origin: TypeAlias = Literal["environment", ".env", "default"]

_QUOTED = re.compile(r"""(['"])(.*?)\1\s*(?:#.*)?""", re.DOTALL)
_COMMENT = re.compile(r"\s+#.*$")


@dataclass(frozen=True, slots=True)
class Layer:
    """The names one place gives values for; a name that is empty there is not among them."""

    origin: Origin
    values: Mapping[str, str] = field(repr=False)


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """The process's environment, read as ``.env`` is.

    ``docker run --env-file`` passes ``10  # workers`` and ``"a b"`` as they stand, comment and quotes
    included; whoever means them so puts (other) quotes around.
    """
    return _layer("environment", {name: _clean(text) for name, text in environ.items()})


def dotenv_layer(path: Path | None) -> Layer:
    """The file's values; none when there is no file.

    ``$`` and ``${…}`` stay as they are: passwords hold them, and ``docker run --env-file`` expands
    nothing either. Raises SettingsInvalid when the file can't be read as a whole.
    """
    if path is None or not path.exists():
        return Layer(".env", {})
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(
            f"{path} can't be read: {error}. It must be a readable text file in UTF-8."
        ) from error
    bindings = list(parse_stream(io.StringIO(text)))
    if wrong := [str(binding.original.line) for binding in bindings if binding.error]:
        raise SettingsInvalid(
            f"{path} can't be understood at line {', '.join(wrong)}: NAME=value is expected."
        )
    return _layer(".env", {b.key: b.value for b in bindings if b.key is not None and b.value is not None})


def _layer(origin: Origin, values: Mapping[str, str]) -> Layer:
    return Layer(origin, {name: text.strip() for name, text in values.items() if text.strip()})


def _clean(text: str) -> str:
    quoted = _QUOTED.fullmatch(text.strip())
    return quoted[2] if quoted else _COMMENT.sub("", text)


class LayerSource(PydanticBaseSettingsSource):
    """One layer as a source of pydantic-settings: flat names in, ``{group: {field: text}}`` out."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[dict[str, str], str, bool]:
        values = self._layer.values
        found: dict[str, str] = {}
        for inner_name, inner in group_of(field).model_fields.items():
            given = next((name for name in names_of(inner) if name in values), None)
            if given is not None:
                found[inner_name] = values[given]
        return found, field_name, True

    def __call__(self) -> dict[str, dict[str, str]]:
        read = {
            name: self.get_field_value(inner, name)[0]
            for name, inner in self.settings_cls.model_fields.items()
        }
        return {name: values for name, values in read.items() if values}
