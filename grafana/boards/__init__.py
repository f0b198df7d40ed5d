"""The dashboards, one module each."""

from __future__ import annotations

from grafana.boards.overview import OVERVIEW

BOARDS = (OVERVIEW,)
