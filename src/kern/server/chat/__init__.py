"""Chat completions, for clients that know nothing else."""
