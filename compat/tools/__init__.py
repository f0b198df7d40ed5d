"""Kafka's own command line tools, unmodified, against any cluster.

``checks()`` gives what is checked. Each has a name, a promise in the words of Kafka's
documentation, and ``run(bootstrap, work, tools)``, which raises AssertionError with what was
expected. The suite runs them as behaviours of a client called kafka-tools.
"""

from compat.tools.registry import Check, checks
from compat.tools.runner import LocalTools, Tools

__all__ = ["Check", "LocalTools", "Tools", "checks"]
