"""What a real client does with a broker in a container, from the host or from beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.container.engine import Engine

ROUND_TRIP = """
import json, sys
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
server = {"bootstrap.servers": sys.argv[1]}
admin = AdminClient(server)
admin.create_topics([NewTopic("round-trip", 1, int(sys.argv[2]))])["round-trip"].result(60)
producer = Producer(server)
producer.produce("round-trip", b"here and back")
assert producer.flush(60) == 0
consumer = Consumer(server | {"group.id": "g", "auto.offset.reset": "earliest"})
consumer.subscribe(["round-trip"])
message = None
while message is None:
    message = consumer.poll(60)
assert message.error() is None, message.error()
assert message.value() == b"here and back"
consumer.commit(asynchronous=False)
consumer.close()
print(admin.describe_cluster().result(60).cluster_id)
"""
BROKERS = """
import json, sys
from confluent_kafka.admin import AdminClient
found = AdminClient({"bootstrap.servers": sys.argv[1]}).list_topics(timeout=60).brokers
print(json.dumps({b.id: f"{b.host}:{b.port}" for b in found.values()}))
"""


def round_trip(engine: Engine, bootstrap: str, replicas: int = 1) -> str:
    """One record there and back, in a group that commits; the cluster's id."""
    return engine.client(ROUND_TRIP, bootstrap, str(replicas)).strip()


def live_brokers(engine: Engine, bootstrap: str) -> dict[int, str]:
    """Their addresses as a client of the host is told, by node id."""
    found = json.loads(engine.client(BROKERS, bootstrap))
    return {int(node): address for node, address in found.items()}
