"""What clients ask, how long it takes and what goes wrong."""

from __future__ import annotations

from grafana.panels import BROKER, ONCE, Board, Panel, Query, Section, graph, table

METRICS = "kafka_network_requestmetrics"
PICKED = f'{BROKER},request=~"$request",{ONCE}'


def _time(part: str, title: str, meaning: str, *, width: int = 8) -> Panel:
    """The 99th percentile of one part of a request's time, by API; the worst broker counts."""
    return graph(
        title,
        meaning,
        "ms",
        Query(
            f'max by (request) ({METRICS}_{part}timems{{{PICKED},quantile="0.99"}})', "{{request}}"
        ),
        width=width,
    )


_RATES = Section(
    "Rates",
    (
        graph(
            "Requests by API",
            "Requests per second that were handled.",
            "reqps",
            Query(
                f"sum by (request) (rate({METRICS}_requests_total{{{PICKED}}}[$__rate_interval]))",
                "{{request}}",
            ),
            stacked=True,
        ),
        graph(
            "Requests by broker",
            "Requests per second that each broker handled.",
            "reqps",
            Query(
                f"sum by (instance) (rate({METRICS}_requests_total{{{PICKED}}}[$__rate_interval]))",
                "{{instance}}",
            ),
        ),
        graph(
            "Share of errors",
            "Of the error codes told by an API, those that are not NONE.",
            "percentunit",
            Query(
                f'sum by (request) (rate({METRICS}_errors_total{{{PICKED},error!="NONE"}}'
                f"[$__rate_interval])) / sum by (request) (rate({METRICS}_errors_total{{{PICKED}}}"
                "[$__rate_interval]))",
                "{{request}}",
            ),
        ),
        graph(
            "Error codes by API",
            "Error codes told per second; some are part of the protocol.",
            "cps",
            Query(
                f"sum by (request, error) (rate({METRICS}_errors_total"
                f'{{{PICKED},error!="NONE"}}[$__rate_interval]))',
                "{{request}} {{error}}",
            ),
        ),
        table(
            "Versions",
            "Requests by API and version since the brokers started: which clients there are.",
            Query(f"sum by (request, version) ({METRICS}_requests_total{{{PICKED}}})"),
        ),
    ),
)

_TIMES = Section(
    "Times, 99th percentile of the last minutes",
    (
        _time("total", "Total", "From the arrival until the response is handed on.", width=12),
        graph(
            "Produce, by quantile",
            "From the arrival of a produce request until it is acknowledged.",
            "ms",
            Query(
                f"max by (quantile) ({METRICS}_totaltimems"
                f'{{{BROKER},request="Produce",quantile=~"0.50|0.95|0.99|0.999"}})',
                "{{quantile}}",
            ),
        ),
        _time(
            "requestqueue", "Before it is looked at", "From the arrival until its handler starts."
        ),
        _time("local", "Work", "The broker's own work."),
        _time("remote", "Waiting for others", "Replicas, data, members, the controller."),
        _time(
            "responsequeue", "Behind other responses", "Responses leave in the order of requests."
        ),
        _time("responsesend", "Sending", "Until the kernel has it."),
        _time("throttle", "Throttled", "So long the connection is silent for a quota."),
    ),
)

_SIZES = Section(
    "Sizes and waits",
    (
        graph(
            "Request size, 99th percentile",
            "Bytes of requests, by API.",
            "bytes",
            Query(
                f'max by (request) ({METRICS}_requestbytes{{{PICKED},quantile="0.99"}})',
                "{{request}}",
            ),
        ),
        graph(
            "Requests that wait",
            "Fetches for data, produces for replicas, deletions of records for replicas.",
            "none",
            Query(
                "sum by (delayedOperation) "
                f"(kafka_server_delayedoperationpurgatory_purgatorysize{{{BROKER}}})",
                "{{delayedOperation}}",
            ),
        ),
    ),
)

REQUESTS = Board(
    "pykbroker-requests",
    "pykbroker / Requests",
    "What clients ask, how long it takes and what goes wrong.",
    ("request",),
    (_RATES, _TIMES, _SIZES),
)
