"""A Kafka broker in Python: the real protocol, ready in a blink."""

__version__ = "0.1.0"
