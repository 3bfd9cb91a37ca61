"""What turns texts into vectors, so that texts of a like meaning lie near each other.

What may live here: the port that every embedder answers, the providers' embedders, and a cache.
"""
