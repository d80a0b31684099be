"""What every other package stands on: paths, files, errors, parameters, progress."""
