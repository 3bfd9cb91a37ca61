"""The keywords of an agent, a part a subject.

A part is a class that the agent inherits from. Each of its annotated names that is a keyword
(:class:`~kern.agent.keywords.AgentOptions`) is an attribute too, which can be set between runs; the
value in the class is the default. ``_build`` checks the keywords of the part, and sets the
attributes that say together what execution needs of them.
"""
