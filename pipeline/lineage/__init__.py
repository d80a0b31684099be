"""Where a result comes from, verified."""
