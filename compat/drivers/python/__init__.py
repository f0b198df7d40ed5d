"""The drivers of the Python clients, and of kcat."""
