"""Translations of files and events, with the place of every error."""
