"""Apache Kafka's own command line tools, as one more client."""
