"""One module for each family of behaviours; ``compat.suite`` finds them."""
