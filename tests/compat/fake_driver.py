"""A driver without a client: answers as its arguments say. For tests of the suite itself.

It keeps topics, offsets and groups nowhere: ``admin.*`` answers what the runner's set-up needs.
"""

from __future__ import annotations

import json
import sys
import time

CAPABILITIES = sys.argv[1].split(",") if len(sys.argv) > 1 and sys.argv[1] else []


def answer(command: dict) -> dict | None:
    op = command["op"]
    if op == "admin.describe_cluster":
        brokers = [{"id": 1, "host": "127.0.0.1", "port": 1, "rack": None}]
        return {"cluster_id": "fake", "controller": 1, "brokers": brokers}
    if op == "admin.create_topics":
        return {"topics": {topic["name"]: {} for topic in command["topics"]}}
    if op == "admin.delete_topics":
        return {"topics": {topic: {} for topic in command["topics"]}}
    if op == "admin.describe_topics":
        partitions = [{"partition": 0, "leader": 1, "replicas": [1], "isr": [1]}]
        return {"topics": {topic: {"partitions": partitions} for topic in command["topics"]}}
    if op == "producer.send":
        return {"sent": [{"partition": 0, "offset": n} for n, _ in enumerate(command["records"])]}
    if op == "consumer.take":
        return None  # never
    if op == "producer.flush":
        sys.exit(3)
    return {}


def main() -> None:
    print("a line for a person", file=sys.stderr, flush=True)
    hello = {"client": "fake", "version": "1", "language": "python", "capabilities": CAPABILITIES}
    print(json.dumps({"hello": hello}), flush=True)
    print("not JSON at all", flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        if command["op"] == "producer.close":
            error = {"code": "NOT_ENOUGH_REPLICAS", "message": "too few", "retriable": True}
            print(json.dumps({"id": command["id"], "ok": False, "error": error}), flush=True)
            continue
        result = answer(command)
        if result is None:
            time.sleep(3600)
        print(json.dumps({"id": command["id"], "ok": True, "result": result}), flush=True)


main()
