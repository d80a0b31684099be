"""Keras layers and wrappers of networks; they read and write no files."""
