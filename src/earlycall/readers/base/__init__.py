"""What readers of several formats share: SQLite, Protocol Buffers, settings, paths, tables."""
