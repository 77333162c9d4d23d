"""Where values come from: the environment, then ``.env``, then the secrets folder; each a layer of names and texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from llm_service.settings.problem import Problem

ENVIRONMENT = "environment"
DEFAULT = "default"

_QUOTED = re.compile(r"""(['"])(.*?)\1\s*(?:#.*)?""", re.DOTALL)
_COMMENT = re.compile(r"\s+#.*$")
# Kubernetes and Docker's links set NAME_PORT=tcp://10.0.0.1:5432 in every container for a service called NAME, so that
# a service called "postgres" would be a wrong POSTGRES_PORT that nobody wrote.
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://\S+:\d+")


@dataclass(frozen=True, slots=True)
class Layer:
    """The names one place gives values for; a name that is empty there is not among them."""

    origin: str
    """``environment``, the path of the ``.env`` file, ``folder /run/secrets``, or ``default``."""
    values: Mapping[str, str] = field(repr=False)
    files: Mapping[str, str] = field(default_factory=dict)
    """Of names whose value is the content of a file: its path."""
    unknown: tuple[str, ...] = ()
    """Names that are there for us and stand for nothing."""
    problems: tuple[Problem, ...] = ()
    """What could not be read here."""
    remarks: tuple[str, ...] = ()
    """What could be read, and is probably not what was meant; one sentence each."""

    def origin_of(self, name: str) -> str:
        """Where the value of this name is written: ``environment``, ``.env`` or ``file /run/secrets/x``."""
        return f"file {self.files[name]}" if name in self.files else self.origin


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """The process's environment, read as ``.env`` is.

    ``docker run --env-file`` passes ``10  # workers`` and ``"a b"`` as they stand, comment and quotes
    included; whoever means them so puts (other) quotes around.
    """
    ours = {name: _clean(text) for name, text in environ.items() if not _is_service_link(name, text)}
    return Layer(ENVIRONMENT, given(ours))


def given(values: Mapping[str, str]) -> Mapping[str, str]:
    """Those that are not empty, without the spaces around them."""
    return {name: text.strip() for name, text in values.items() if text.strip()}


def _is_service_link(name: str, text: str) -> bool:
    return name.endswith("_PORT") and _SERVICE_LINK.fullmatch(text) is not None


def _clean(text: str) -> str:
    quoted = _QUOTED.fullmatch(text.strip())
    return quoted[2] if quoted else _COMMENT.sub("", text)
