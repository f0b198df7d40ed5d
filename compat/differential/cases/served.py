"""ApiVersions: what is served, and who asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat.differential.codec import API_KEYS, request_header
from compat.differential.registry import case

if TYPE_CHECKING:
    from compat.differential.talk import Talk

SOFTWARE = {"client_software_name": "diff", "client_software_version": "1.0"}


@case("api-versions/served", api="api_versions")
def served(t: Talk, v: int) -> None:
    t.ask("api_versions", v, SOFTWARE)


@case("api-versions/software", api="api_versions", versions=lambda v: v >= 3)
def software(t: Talk, v: int) -> None:
    for name in ("", "-a", "a-", "a.b-c", "a b", "a_b", "a" * 300, "\u00e4"):
        for field in SOFTWARE:
            body = SOFTWARE | {field: name}
            encoded = t.encode("api_versions", v, body)
            t.send_raw(
                "api_versions", v, encoded.payload, label=f"{field} {name[:9]!r}", in_short=True
            )


@case("api-versions/unknown-version")
def unknown_version(t: Talk) -> None:
    """Answered in version 0, with the error and the range of this API."""
    for version in (-1, 99, 32767, -32768):
        payload = request_header(API_KEYS["api_versions"], version, version > 0, 7, "diff")
        t.send_raw("api_versions", 0, payload + b"\x01\x01\x00", label=f"version {version}")
    payload = request_header(API_KEYS["api_versions"], 99, True, 7, None)
    t.send_raw("api_versions", 0, payload, label="nothing behind the header")
