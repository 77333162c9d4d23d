"""Certificates are verified everywhere: the few places that look without are named, and why."""

from __future__ import annotations

import re
from pathlib import Path

import llm_service

ROOT = Path(llm_service.__file__).parent
OFF = re.compile(
    r"verify\s*=\s*(?!tls\b)\S|CERT_NONE|CERT_OPTIONAL|check_hostname\s*=\s*False|_create_unverified|cert_reqs=(?!\"CERT_REQ)"
    r"|assert_hostname|sslmode|ssl_verify|verify_ssl_certs|InsecureRequestWarning"
)
PROBES = {
    "cli/checking/certificate.py": "shows a certificate that was refused, and sends nothing",
    "cli/checking/kafka_listener.py": "the same",
    "cli/checking/minio.py": "the same",
    "cli/watching/connection.py": "does as the worker does, by Kafka's own properties",
    "providers/litellm_child.py": "gives the library a context that verifies, by LITELLM_CA_BUNDLE",
    "cli/checking/postgres.py": "says that it is off",
    "container/ledger.py": "passes POSTGRES_VERIFY_SSL on",
    "ledger/tls.py": "POSTGRES_VERIFY_SSL: a warning, a metric, refused in production",
    "providers/gigachat_options.py": "GIGACHAT_VERIFY_SSL: a warning, a metric, refused in production",
}


def test_nothing_else_in_the_package_can_turn_verification_off() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if OFF.search(path.read_text("utf-8"))
    }
    assert found == PROBES.keys()
