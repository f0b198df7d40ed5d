"""How to reach an etcd cluster, and what of it is ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pykbroker.ports import UnusableStore

if TYPE_CHECKING:
    import ssl

    from pykbroker.config.settings import Settings

SCHEME = "etcd://"


class EtcdOptions(NamedTuple):
    endpoints: tuple[str, ...]
    """``host:port`` of each member."""
    prefix: str = "/pykbroker"
    """What every key of this cluster begins with."""
    tls: bool = False
    ca_location: str | None = None
    certificate_location: str | None = None
    key_location: str | None = None
    username: str | None = None
    password: str | None = None
    max_operations: int = 128
    """What the members allow: their ``--max-txn-ops``."""
    source_host: str | None = None
    request_timeout_ms: int = 3_000
    """For one request, at two members at most."""

    def urls(self) -> tuple[str, ...]:
        scheme = "https" if self.tls else "http"
        return tuple(f"{scheme}://{endpoint}" for endpoint in self.endpoints)


def etcd_options(url: str, settings: Settings) -> EtcdOptions:
    """Of ``etcd://HOST:PORT[,HOST:PORT...]`` and ``pykbroker.etcd.*``. Raises UnusableStore."""
    ca_location = settings.str("pykbroker.etcd.ca.location")
    certificate_location = settings.str("pykbroker.etcd.certificate.location")
    key_location = settings.str("pykbroker.etcd.key.location")
    username = settings.str("pykbroker.etcd.username")
    password = settings.str("pykbroker.etcd.password")
    if key_location is not None and certificate_location is None:
        raise UnusableStore("pykbroker.etcd.key.location needs pykbroker.etcd.certificate.location")
    if (username is None) != (password is None):
        raise UnusableStore("pykbroker.etcd.username and pykbroker.etcd.password go together")
    return EtcdOptions(
        endpoints=parse_url(url),
        prefix=(settings.str("pykbroker.etcd.prefix") or "").rstrip("/"),
        tls=settings.bool("pykbroker.etcd.tls.enable")
        or ca_location is not None
        or certificate_location is not None,
        ca_location=ca_location,
        certificate_location=certificate_location,
        key_location=key_location,
        username=username,
        password=password,
        max_operations=settings.int("pykbroker.etcd.max.txn.ops"),
        source_host=settings.str("pykbroker.source.host"),
    )


def parse_url(url: str) -> tuple[str, ...]:
    """``host:port`` of each member. Raises UnusableStore."""
    endpoints = []
    for endpoint in url.removeprefix(SCHEME).rstrip("/").split(","):
        host, _, port = endpoint.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        plain = host[1:-1] if bracketed else host
        if (
            not url.startswith(SCHEME)
            or not plain
            or set(plain) & set("/@?#[] ")
            or (":" in plain) != bracketed
            or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)
        ):
            raise UnusableStore(f"{url}: not etcd://HOST:PORT[,HOST:PORT...]")
        endpoints.append(endpoint)
    return tuple(endpoints)


def tls_context(options: EtcdOptions) -> ssl.SSLContext | None:
    """None without TLS. Raises UnusableStore."""
    if not options.tls:
        return None
    import ssl

    try:
        context = ssl.create_default_context(cafile=options.ca_location)
        if options.certificate_location is not None:
            context.load_cert_chain(options.certificate_location, options.key_location)
    except (OSError, ssl.SSLError) as error:
        raise UnusableStore(f"the certificates for etcd cannot be used: {error}") from error
    return context
