"""What kept predictions prove: intervals, ties, optimism, calibration, ensembles, wrong labels."""
