"""A saved model put to work: found by its name, fed with recordings of any length."""
