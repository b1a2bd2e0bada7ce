"""This machine: its folders and cache, files put in place whole, signals, the environment."""
