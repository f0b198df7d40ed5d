"""Log logic: offsets, epochs, producer state, retention and cleaning plans."""
