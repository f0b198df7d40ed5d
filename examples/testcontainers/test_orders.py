from confluent_kafka.admin import AdminClient
from testcontainers.kafka import KafkaContainer


def test_orders():
    # The version of the Confluent Platform that the tag stands for: with_kraft wants 7.0 or newer.
    with KafkaContainer("pykbroker:7.6.0").with_kraft() as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.get_bootstrap_server()})
        assert admin.list_topics(timeout=10).brokers
