"""Which run begins, where and when: acceptance, the queue, workers, streams, cancels, the clock.

What happens inside a run is the business of :mod:`kern.execution`.
"""
