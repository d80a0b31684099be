"""All that speaks to MLflow tracking."""
