"""Alignment, duplicate marking and calling on local files."""
