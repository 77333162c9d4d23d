"""The README's step for the bucket: by the same ``.env`` as the worker, as often as one likes."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

from tests.services.minio import MinioServer

SCRIPT = Path(__file__).parents[2] / "deploy" / "compose" / "make_bucket.py"


def _make(folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MINIO_")}
    return subprocess.run(
        [sys.executable, str(SCRIPT)],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_is_made_once_by_the_settings_of_the_folder(minio: MinioServer, tmp_path: Path) -> None:
    bucket = f"made-{uuid.uuid4().hex[:12]}"
    (tmp_path / ".env").write_text(
        f"MINIO_ENDPOINT={minio.endpoint}\nMINIO_ACCESS_KEY={minio.access_key}\n"
        f"MINIO_SECRET_KEY={minio.secret_key}\nMINIO_BUCKET_NAME={bucket}\n"
    )
    first, second = _make(tmp_path), _make(tmp_path)
    assert (first.returncode, first.stdout) == (0, f"bucket {bucket} made\n"), first.stderr
    assert (second.returncode, second.stdout) == (0, f"bucket {bucket} is there\n"), second.stderr
