"""What dashboards are made of: queries, panels and their places, as Grafana's JSON has them."""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]

SCHEMA_VERSION = 41
"""Of Grafana 11.6."""
COLUMNS = 24
DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}

BROKER = 'job="$job",instance=~"$instance"'
"""Selects the series of the brokers that were picked."""

ONCE = 'request!="Fetch"'
"""A fetch is told as FetchConsumer or FetchFollower, and as Fetch too."""

GOOD, WARNING, BAD = "green", "orange", "red"
NONE_IS_GOOD = ((None, GOOD), (1, BAD))
NEUTRAL = ((None, "blue"),)

Steps = tuple[tuple[float | None, str], ...]
"""(from this value on, colour); the first has no value"""


class Query(NamedTuple):
    """``legend`` has labels in double braces."""

    expr: str
    legend: str = ""


class Panel(NamedTuple):
    """``unit`` is an id of Grafana's; ``meaning`` is shown beside the title."""

    kind: str
    title: str
    meaning: str
    unit: str
    queries: tuple[Query, ...]
    width: int
    height: int
    steps: Steps = NEUTRAL
    stacked: bool = False
    signed: bool = False
    columns: tuple[str, ...] = ()
    """Of a table: the names of its queries' values."""


class Section(NamedTuple):
    title: str
    panels: tuple[Panel, ...]


class Board(NamedTuple):
    """``picks`` are the variables beside data source, job and broker: topic, group, request."""

    uid: str
    title: str
    description: str
    picks: tuple[str, ...]
    sections: tuple[Section, ...]


def graph(
    title: str,
    meaning: str,
    unit: str,
    *queries: Query,
    width: int = 12,
    stacked: bool = False,
    signed: bool = False,
) -> Panel:
    return Panel(
        "timeseries", title, meaning, unit, queries, width, 8, stacked=stacked, signed=signed
    )


def stat(
    title: str,
    meaning: str,
    expr: str,
    *,
    unit: str = "none",
    steps: Steps = NEUTRAL,
    width: int = 4,
) -> Panel:
    return Panel("stat", title, meaning, unit, (Query(expr),), width, 4, steps)


def table(
    title: str, meaning: str, *queries: Query, columns: tuple[str, ...] = (), width: int = 24
) -> Panel:
    return Panel("table", title, meaning, "none", queries, width, 8, columns=columns)


def dashboard(board: Board) -> Json:
    """As Grafana provisions it."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": ["kafka", "pykbroker"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables(board.picks)},
        "annotations": {"list": []},
        "links": [
            {
                "type": "dashboards",
                "title": "pykbroker",
                "tags": ["pykbroker"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "panels": _placed(board),
    }


_PICKS = {
    "topic": ("Topic", 'label_values(kafka_topic_partitions{job="$job"}, topic)'),
    "group": ("Group", 'label_values(kafka_consumergroup_members{job="$job"}, consumergroup)'),
    "request": (
        "Request",
        'label_values(kafka_network_requestmetrics_requests_total{job="$job"}, request)',
    ),
}


def _variables(picks: tuple[str, ...]) -> list[Json]:
    return [
        {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"},
        _variable("job", "Job", "label_values(pykbroker_build_info, job)", many=False),
        _variable(
            "instance",
            "Broker",
            'label_values(pykbroker_build_info{job="$job"}, instance)',
            many=True,
        ),
        *(_variable(name, *_PICKS[name], many=True) for name in picks),
    ]


def _variable(name: str, label: str, query: str, *, many: bool) -> Json:
    made: Json = {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": f"pick-{name}"},
        "refresh": 2,
        "sort": 1,
        "multi": many,
        "includeAll": many,
    }
    if many:
        made["allValue"] = ".+"
        made["current"] = {"text": ["All"], "value": ["$__all"]}
    return made


def _placed(board: Board) -> list[Json]:
    """Line by line from the left; a section begins with a row."""
    made: list[Json] = []
    y = 0
    for section in board.sections:
        made.append(
            {
                "type": "row",
                "id": len(made) + 1,
                "title": section.title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
                "panels": [],
            }
        )
        y += 1
        x = height = 0
        for panel in section.panels:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            made.append(_panel(panel, len(made) + 1, place))
            x, height = x + panel.width, max(height, panel.height)
        y += height
    return made


def _panel(panel: Panel, number: int, place: Json) -> Json:
    made = {
        "type": panel.kind,
        "id": number,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": DATASOURCE,
        "gridPos": place,
        "targets": [_target(panel, n, query) for n, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
    }
    if panel.kind == "table":
        made["transformations"] = _table_of(panel)
    return made


def _table_of(panel: Panel) -> list[Json]:
    """One line for all queries with the same labels; a value's column has its query's letter."""
    hidden = {"Time": True}
    if len(panel.queries) == 1:
        values = ["Value"]
    else:
        values = [f"Value #{_letter(number)}" for number in range(len(panel.queries))]
    names = dict(zip(values, panel.columns, strict=False))
    hidden |= {value: True for value in values if value not in names}
    return [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": hidden, "renameByName": names}},
    ]


def _letter(number: int) -> str:
    return chr(ord("A") + number)


def _target(panel: Panel, number: int, query: Query) -> Json:
    instant = panel.kind != "timeseries"
    return {
        "refId": _letter(number),
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend,
        "instant": instant,
        "range": not instant,
        "format": "table" if panel.kind == "table" else "time_series",
    }


def _defaults(panel: Panel) -> Json:
    steps = [{"value": value, "color": colour} for value, colour in panel.steps]
    made: Json = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if not panel.signed:
        made["min"] = 0
    if panel.kind == "timeseries":
        made["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 20 if panel.stacked else 5,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        }
    else:
        made["color"] = {"mode": "thresholds"}
    return made


_OPTIONS: dict[str, Json] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "textMode": "value",
        "justifyMode": "auto",
        "orientation": "auto",
    },
    "table": {"showHeader": True, "cellHeight": "sm"},
}
