"""Models as files for small devices."""
