"""A data set a file: where its labels, folds and splits are known; and what only they share."""
