"""Notifies the addresses that users have given of the ends of runs."""
