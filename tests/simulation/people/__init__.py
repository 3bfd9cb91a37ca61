"""Runs that wait for persons, held against a model of what is promised."""
