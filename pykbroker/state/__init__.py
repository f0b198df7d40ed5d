"""What the broker knows and how it changes: plain, synchronous, deterministic."""
