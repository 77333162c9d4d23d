"""A MinIO that speaks TLS, of the test's own."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.cache import Cache
from tests.services.minio_own import prepare
from tests.services.ports import answers, free_port
from tests.services.process import OwnProcess
from tests.services.reaper import Reaper
from tests.services.runtime import Unavailable
from tests.services.wishes import Wishes
from tests.standins.certificates import make_certificates

KEY, SECRET = "testbed", "secret-of-the-tests"
_START_S = 30.0


@contextmanager
def minio_tls(folder: Path) -> Iterator[tuple[str, Path]]:
    """Its ``host:port`` and the certificate to trust, for the time of the context. Raises Unavailable."""
    binary, port = prepare(Cache(Wishes.read().cache, lambda _: None)), free_port()
    certificates = make_certificates(folder)
    shutil.copy(certificates.certificate, folder / "public.crt")
    shutil.copy(certificates.key, folder / "private.key")
    env = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(folder),
        "MINIO_ROOT_USER": KEY,
        "MINIO_ROOT_PASSWORD": SECRET,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    command = [str(binary), "server", str(folder / "data"), "--address", f"127.0.0.1:{port}", "--quiet"]
    reaper = Reaper()
    process = OwnProcess([*command, "--certs-dir", str(folder)], folder, reaper, env)
    try:
        process.start()
        deadline = time.monotonic() + _START_S
        while not answers(port):
            if time.monotonic() > deadline or not process.is_running:
                raise Unavailable(f"MinIO with TLS did not come up: {process.log_tail()}")
            time.sleep(0.05)
        yield f"127.0.0.1:{port}", certificates.ca_bundle
    finally:
        process.stop()
        reaper.close()
