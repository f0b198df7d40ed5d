"""The Kafka wire protocol: messages, codec, record batches, framing. Sans I/O, usable alone."""
