"""The run of a search: trials asked of Optuna, trained by Ray's workers, kept in one database."""
