"""Logs that grow, read on from where they ended."""
