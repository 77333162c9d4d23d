"""PostgreSQL without Docker: the distribution's binaries on a folder of this run."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from tests.services.cache import Cache
from tests.services.commands import install_debian, version_of
from tests.services.ports import free_port
from tests.services.postgres import Postgres
from tests.services.process import OwnProcess
from tests.services.reaper import Reaper
from tests.services.runtime import Unavailable

_OLDEST = 14
_DEBIAN = Path("/usr/lib/postgresql")
_CLUSTER_CONF = Path("/etc/postgresql-common/createcluster.conf")
# Data on the page cache outlives a killed process, and no test cuts the machine's power: fsync would cost time only.
_OPTIONS = ("-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=100")
_INITDB_LIMIT_S = 60


def prepare(_cache: Cache) -> Path:
    """The folder of initdb and postgres, installed when it is missing. Raises Unavailable."""
    found = _binaries()
    if found is None:
        _install()
        found = _binaries()
    if found is None:
        raise Unavailable(f"no PostgreSQL >= {_OLDEST} here")
    return found


def start(cache: Cache, reaper: Reaper, folder: Path) -> Postgres:
    """A server on a free port with its data in the folder. Raises Unavailable."""
    binaries, port, secret, user = prepare(cache), free_port(), secrets.token_hex(16), _user()
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    _initdb(binaries / "initdb", data, secret, user)
    command = [str(binaries / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), *_OPTIONS]
    # SIGINT is Postgres's quick and clean end; SIGTERM would wait for its clients.
    process = OwnProcess(command, folder, reaper, user=user, stop_signal=signal.SIGINT)
    numbers = version_of([str(binaries / "postgres"), "--version"], r"([\d.]+)") or ()
    how = f"PostgreSQL {'.'.join(map(str, numbers))}, own process"
    postgres = Postgres(f"postgresql://testbed:{secret}@127.0.0.1:{port}/postgres", process, how)
    postgres.start()
    return postgres


def _initdb(initdb: Path, data: Path, secret: str, user: str | None) -> None:
    secret_file = data.parent / "secret"
    secret_file.write_text(secret)
    if user is not None:
        shutil.chown(secret_file, user)
    access = ["-U", "testbed", "-A", "scram-sha-256", f"--pwfile={secret_file}"]
    done = subprocess.run(
        [str(initdb), "-D", str(data), *access, "--no-sync", "-E", "UTF8", "--locale=C"],
        cwd=data.parent,
        user=user,
        extra_groups=[] if user else None,
        capture_output=True,
        timeout=_INITDB_LIMIT_S,
        check=False,
    )
    secret_file.unlink()
    if done.returncode:
        raise Unavailable(f"initdb failed: {done.stderr.decode('utf-8', 'replace').strip()}")


def _user() -> str | None:
    """Whom to run it as: it refuses root. None: as we are."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return name
    raise Unavailable("PostgreSQL refuses to run as root, and there is no user postgres or nobody")


def _binaries() -> Path | None:
    """Of the newest version; Debian keeps them off the PATH."""
    folders = [path / "bin" for path in _DEBIAN.glob("*")] if _DEBIAN.is_dir() else []
    on_path = shutil.which("initdb")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    versions = {}
    for folder in folders:
        version = version_of([str(folder / "postgres"), "--version"], r"(\d+)")
        if version and version[0] >= _OLDEST and (folder / "initdb").exists():
            versions[version] = folder
    return versions[max(versions)] if versions else None


def _install() -> None:
    """By Debian's package, without the server that it would make and start for the whole machine."""
    install_debian("postgresql-common")
    if _CLUSTER_CONF.exists():
        text = _CLUSTER_CONF.read_text().replace("#create_main_cluster = true", "create_main_cluster = false")
        _CLUSTER_CONF.write_text(text)
    install_debian("postgresql")
