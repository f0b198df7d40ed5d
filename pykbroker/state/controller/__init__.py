"""Cluster metadata: the immutable image, and the decisions that change it."""
