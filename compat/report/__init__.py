"""What came out of a run: a matrix on the terminal, JSON, JUnit XML and one page."""
