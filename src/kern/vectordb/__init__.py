"""Where documents are kept so that they are found by meaning, by words, or by both.

What may live here: the port that every vector database answers, its values, and the databases.
"""
