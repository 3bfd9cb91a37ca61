"""What people on duty are told of runs and workers, on a page or in a terminal; values only."""
