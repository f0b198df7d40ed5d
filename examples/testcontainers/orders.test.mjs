import assert from "node:assert";
import test from "node:test";
import { KafkaContainer } from "@testcontainers/kafka";

// The version of the Confluent Platform that the tag stands for decides what the module does.
test("orders", async () => {
  const container = await new KafkaContainer("pykbroker:8.0.0").withKraft().start();
  try {
    assert(container.getMappedPort(9093) > 0);
  } finally {
    await container.stop();
  }
});
