"""Kafka's command-line tools, as far as containers of others call them: ``python -m
pykbroker.tools kafka-topics --list --bootstrap-server localhost:9092``.

Options, output and exit codes are Kafka's; there is a module for each tool. They are clients: of
pykbroker they know ``wire`` alone, and any broker will do.
"""
