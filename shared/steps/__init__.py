"""Streaming steps of the chain that both apps run."""
