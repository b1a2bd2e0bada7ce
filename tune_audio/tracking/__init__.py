"""What was run, copied to MLflow; the search never waits for it."""
