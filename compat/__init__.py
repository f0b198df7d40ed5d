"""Is it Kafka? Stock clients against any bootstrap server.

Nothing here knows pykbroker: what is under test is an address, and clients that nobody changed.
"""
