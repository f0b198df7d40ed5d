"""One thin module per API family: look up, ask the state, answer."""
