"""promtool, which checks and runs Prometheus' rules: the machine's own, or that of Debian's package."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.services.commands import run
from tests.services.runtime import Unavailable

_PACKAGE = "prometheus"


def promtool(folder: Path) -> str:
    """Its path; where it is missing it is unpacked into ``folder``: installing it would start a server.

    Raises Unavailable where there is no Debian to get it from.
    """
    own = shutil.which("promtool")
    if own is not None:
        return own
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Unavailable(f"promtool is missing, and there is no apt-get to get {_PACKAGE} with")
    download = ["apt-get", "download", "-q", _PACKAGE]
    try:
        run(download, cwd=folder)
    except Unavailable:
        run(["apt-get", "update", "-q"])  # a fresh machine has no package lists yet
        run(download, cwd=folder)
    (package,) = folder.glob(f"{_PACKAGE}_*.deb")
    run(["dpkg-deb", "-x", str(package), str(folder)])
    return str(folder / "usr" / "bin" / "promtool")
