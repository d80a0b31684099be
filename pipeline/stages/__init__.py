"""One short module for each stage of dvc.yaml. A stage reads files and parameters and writes files."""

from pipeline.core import quiet

quiet.silence()  # before a stage's imports, TensorFlow among them
