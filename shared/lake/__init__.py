"""Schema and rows of the lake tables."""
