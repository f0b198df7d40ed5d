"""The drivers of the Node clients: kafkajs, confluent-kafka-javascript and platformatic's."""
