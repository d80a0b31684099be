"""Readers of files that others may have written."""
