"""Services as containers, where a Docker daemon answers."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Self

from tests.services.runtime import Unavailable

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

_DAEMON_LIMIT_S = 5
_TAIL_BYTES = 2_000


def docker_answers() -> bool:
    """Whether there is a daemon behind the client; a client alone is common."""
    if shutil.which("docker") is None:
        return False
    try:
        return (
            subprocess.run(
                ["docker", "info"], capture_output=True, timeout=_DAEMON_LIMIT_S, check=False
            ).returncode
            == 0
        )
    except subprocess.TimeoutExpired:
        return False


class Container:
    """A container on fixed ports, so that it comes back where it was. Ryuk removes it after the run."""

    def __init__(self, container: DockerContainer) -> None:
        self._container = container
        self._created = False
        self._paused = False

    @classmethod
    def of(cls, image: str, ports: dict[int, int], env: dict[str, str], command: str | None = None) -> Self:
        """``ports``: the container's to the host's."""
        # Half a second of imports, for nothing where no daemon answers.
        from testcontainers.core.container import DockerContainer

        container = DockerContainer(image).with_envs(**env)
        for inside, outside in ports.items():
            container = container.with_bind_ports(inside, outside)
        return cls(container.with_command(command) if command else container)

    @property
    def is_running(self) -> bool:
        if not self._created:
            return False
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        return wrapped.status in {"running", "paused"}

    def start(self) -> None:
        if self._created:
            self._container.get_wrapped_container().start()
            return
        try:
            self._container.start()
        except Exception as error:  # docker's, testcontainers' and requests' errors have no common root
            raise Unavailable(f"Docker could not start {self._container.image}: {error}") from error
        self._created = True

    def kill(self) -> None:
        self.resume()
        self._container.get_wrapped_container().kill()

    def stop(self) -> None:
        self.resume()
        self._container.get_wrapped_container().stop(timeout=20)

    def pause(self) -> None:
        self._container.get_wrapped_container().pause()
        self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._container.get_wrapped_container().unpause()
            self._paused = False

    def log_tail(self) -> str:
        if not self._created:
            return ""
        out, err = self._container.get_logs()
        return (out + err)[-_TAIL_BYTES:].decode("utf-8", "replace")

    def remove(self) -> None:
        if self._created:
            self._container.stop()
