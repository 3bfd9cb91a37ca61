"""Makes runs happen: the loop, the executor, the queue, the worker."""
