"""Whom a connection to PostgreSQL trusts."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi

from llm_service.errors import SettingsInvalid


def tls(bundle: Path | None, *, verify: bool) -> ssl.SSLContext:
    """A server without TLS is refused by it, and one with another's certificate or name unless ``verify`` is off.

    ``bundle``: PEM file or folder of who is trusted, instead of the public authorities. Raises SettingsInvalid when it
    can't be read.
    """
    trusted = bundle or Path(certifi.where())
    folder = trusted if trusted.is_dir() else None
    try:
        context = ssl.create_default_context(cafile=None if folder else trusted, capath=folder)
    except (OSError, ssl.SSLError) as error:
        raise SettingsInvalid(
            f"POSTGRES_CA_BUNDLE: {trusted} can't be read as certificates in PEM form ({error})."
        ) from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
