"""The same figures by the names that Confluent's and Strimzi's rules give them, where these differ
and their dashboards ask for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pykbroker.runtime.figures.table import Sample

_TRAFFIC = "kafka_server_brokertopicmetrics_"
_REQUESTS = "kafka_network_requestmetrics_"
_REPLICAS = "kafka_server_replicamanager_"
_CONTROLLER = "kafka_controller_controllerstats_"
_SESSIONS = "kafka_server_fetchsessioncache_incrementalfetchsessionevictions"
_IDLE = "kafka_network_socketserver_networkprocessoravgidlepercent"
_HANDLERS = "kafka_server_kafkarequesthandlerpool_requesthandleravgidle"

RENAMED: dict[str, tuple[str, ...]] = {
    f"{_TRAFFIC}messagesin_total": (f"{_TRAFFIC}messagesinpersec",),
    f"{_TRAFFIC}bytesin_total": (f"{_TRAFFIC}bytesinpersec",),
    f"{_TRAFFIC}bytesout_total": (f"{_TRAFFIC}bytesoutpersec",),
    f"{_TRAFFIC}producemessageconversions_total": (f"{_TRAFFIC}producemessageconversionspersec",),
    f"{_TRAFFIC}fetchmessageconversions_total": (f"{_TRAFFIC}fetchmessageconversionspersec",),
    f"{_REQUESTS}requests_total": (f"{_REQUESTS}requestspersec",),
    f"{_REQUESTS}errors_total": (f"{_REQUESTS}errorspersec",),
    f"{_REPLICAS}isrshrinks_total": (f"{_REPLICAS}isrshrinkspersec",),
    f"{_REPLICAS}isrexpands_total": (f"{_REPLICAS}isrexpandspersec",),
    f"{_CONTROLLER}uncleanleaderelections_total": (f"{_CONTROLLER}uncleanleaderelectionspersec",),
    f"{_SESSIONS}_total": (f"{_SESSIONS}persec",),
    _IDLE: (
        "kafka_network_socketserver_networkprocessoravgidle_percent",
        f"{_HANDLERS}percent_oneminuterate",
        f"{_HANDLERS}_percent",
    ),
}


def with_other_names(samples: Iterable[Sample | None]) -> Iterator[Sample | None]:
    for sample in samples:
        yield sample
        if sample is not None and sample[0] in RENAMED:
            for name in RENAMED[sample[0]]:
                yield name, sample[1], sample[2]
