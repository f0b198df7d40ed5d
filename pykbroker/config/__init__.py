"""Kafka's properties: types, defaults, rules, where they come from, what they resolve to."""
