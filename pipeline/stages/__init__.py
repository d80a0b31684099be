"""One short module for each stage of dvc.yaml. A stage reads files and parameters and writes files."""

import sys

from pipeline.core import quiet

for word in sys.orig_argv:
    if word.startswith(f"{__name__}."):  # the module of a stage, which alone does nothing
        sys.exit(f"error: run `python -m {__name__} {word.rpartition('.')[2]}`")
quiet.silence()  # before a stage's imports, TensorFlow among them
