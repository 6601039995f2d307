"""Logs of power, a file for each tool that writes them."""
