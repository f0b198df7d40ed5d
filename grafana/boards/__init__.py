"""The dashboards, one module each."""

from __future__ import annotations

from grafana.boards.groups import GROUPS
from grafana.boards.overview import OVERVIEW
from grafana.boards.process import PROCESS
from grafana.boards.replication import REPLICATION
from grafana.boards.requests import REQUESTS
from grafana.boards.topics import TOPICS

BOARDS = (OVERVIEW, TOPICS, REPLICATION, GROUPS, REQUESTS, PROCESS)
