"""Group coordinator state: decide, then replay."""
