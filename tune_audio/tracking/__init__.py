"""What is run, copied to MLflow; the search waits for it once, before its first trial."""
