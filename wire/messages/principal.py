"""A principal as forwarded between brokers."""

from __future__ import annotations

from wire.schema import Record, string


class DefaultPrincipalData(Record, versions="0", flexible="0+"):
    type: string = ""
    name: string = ""
    token_authenticated: bool = False
