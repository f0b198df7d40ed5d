"""The same raw requests to two brokers, and every difference in what they answer.

One of them is Apache Kafka. ``cases`` says what is asked; ``known.toml`` which differences are
meant, and why. Not asked yet, for want of them in what is judged: transactions, ACLs, SASL,
delegation tokens, the newer group protocols (consumer, share and streams groups), Raft's own APIs.
"""

from compat.differential.command import main

__all__ = ["main"]
