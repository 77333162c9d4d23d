"""What the process says by its exit code; documented in the README."""

from __future__ import annotations

from enum import IntEnum

from llm_service.errors import (
    BootstrapFailed,
    DependencyUnavailable,
    PromptCatalogueInvalid,
    ProviderUnavailable,
    ServiceError,
    SettingsInvalid,
    StoreUnavailable,
    WorkFolderUnavailable,
)


class ExitCode(IntEnum):
    """Values of sysexits.h where it has one for the case, and the shell's 128 + signal."""

    OK = 0
    """Done; for ``run``: stopped on request, drained and committed."""
    FAILED = 1
    """The command ran, and something it was asked to do did not succeed."""
    USAGE = 2
    """The command line is wrong."""
    CHECK_FAILED = 3
    """``check`` found something that is not as it must be, or ``providers`` one that does not answer."""
    UNAVAILABLE = 69
    """A dependency could not be reached, or a folder can't be used (EX_UNAVAILABLE)."""
    INTERNAL = 70
    """A bug, or a Kafka error that can't be recovered from within the process (EX_SOFTWARE); start it again."""
    CONFIG = 78
    """Settings, prompt catalogue or drop rules are wrong (EX_CONFIG)."""
    INTERRUPTED = 130
    """Ctrl-C; for ``run`` a second signal, which ended it at once without draining."""


def exit_code_of(error: ServiceError) -> ExitCode:
    """The exit code of a command that ended with this error."""
    match error:
        case SettingsInvalid() | PromptCatalogueInvalid():
            return ExitCode.CONFIG
        case BootstrapFailed() | DependencyUnavailable() | ProviderUnavailable():
            return ExitCode.UNAVAILABLE
        case StoreUnavailable() | WorkFolderUnavailable():
            return ExitCode.UNAVAILABLE
        case _:
            return ExitCode.FAILED
