"""The formats of JSON Schema as patterns; each narrower than its standard where checkers differ, never wider."""

from __future__ import annotations

_YEAR = r"[1-9]\d{3}"
# February ends on the 28th: a leap day is no regular matter.
_DATE = (
    rf"{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    r"|02-(?:0[1-9]|1\d|2[0-8]))"
)
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
_BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL}){{0,3}}\.[a-z]{{2,10}}"
_HEX4 = r"[0-9a-f]{1,4}"
_DURATION_TIME = r"T(?:\d{1,3}H(?:\d{1,3}M)?(?:\d{1,3}S)?|\d{1,3}M(?:\d{1,3}S)?|\d{1,3}S)"

FORMATS: dict[str, str] = {
    "date": f"^{_DATE}$",
    "time": f"^{_TIME}$",
    "date-time": f"^{_DATE}T{_TIME}$",
    "duration": (
        rf"^P(?:\d{{1,3}}Y(?:\d{{1,3}}M(?:\d{{1,3}}D)?)?|\d{{1,3}}M(?:\d{{1,3}}D)?|\d{{1,3}}D|\d{{1,3}}W|{_DURATION_TIME})$"
    ),
    "email": rf"^[a-z0-9](?:[a-z0-9_+-]{{0,20}}[a-z0-9])?(?:\.[a-z0-9]{{1,10}}){{0,2}}@{_HOST}$",
    "hostname": f"^{_HOST}$",
    "ipv4": rf"^{_BYTE}(?:\.{_BYTE}){{3}}$",
    "ipv6": rf"^{_HEX4}(?::{_HEX4}){{7}}$",
    "uuid": r"^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    "uri": rf"^https?://{_HOST}(?:/[A-Za-z0-9_.~-]{{1,30}}){{0,6}}/?(?:\?[A-Za-z0-9_=&-]{{1,60}})?$",
    "uri-reference": r"^(?:/[A-Za-z0-9_.~-]{1,30}){1,6}$",
    "json-pointer": r"^(?:/(?:[A-Za-z0-9_.-]|~[01]){1,30}){0,6}$",
    "regex": r"^[A-Za-z0-9]{1,30}$",
}
FORMATS["iri"] = FORMATS["uri"]
FORMATS["iri-reference"] = FORMATS["uri-reference"]
FORMATS["idn-email"] = FORMATS["email"]
FORMATS["idn-hostname"] = FORMATS["hostname"]
