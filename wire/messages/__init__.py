"""Every message, one module per API; definitions only."""
