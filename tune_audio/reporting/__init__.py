"""What was run, put into words, tables and files."""
