"""Logs on disk: segments, recovery, checkpoints, retention, cleaning, flushing."""
