"""Dashboards, alerts and recording rules for pykbroker; ``python -m grafana`` makes the JSON."""
