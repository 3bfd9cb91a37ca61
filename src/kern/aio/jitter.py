"""Jitter: what spreads pauses, so that those who began together do not come back together."""

import os
from random import Random

# Not Python's own generator: a program that seeds that one gets the numbers which it expects.
jitter = Random()

os.register_at_fork(after_in_child=jitter.seed)
