"""One short module for each stage of dvc.yaml. A stage reads files and parameters and writes files."""
