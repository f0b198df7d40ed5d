"""Apache Kafka itself, from the jars that Maven has of it: the reference."""
