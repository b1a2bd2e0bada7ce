"""Recordings that belong together: equal ones, and ones cut from one another."""
