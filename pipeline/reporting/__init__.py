"""Charts, tables, model cards and the page, out of files only."""
