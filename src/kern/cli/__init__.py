"""The command line, ``kern``."""
