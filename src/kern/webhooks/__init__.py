"""Notifies the addresses that users have given of the ends of runs.

The database keeps what is to be sent (:mod:`kern.db.outbox`); here are the one that sends it, the
request, and the guard of the addresses. What is for the parent of a run is not sent: who has made
the sender delivers it.
"""
