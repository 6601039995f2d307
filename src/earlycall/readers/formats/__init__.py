"""The log formats, a file each."""
