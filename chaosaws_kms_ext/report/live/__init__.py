"""The page of a run while it happens: it reads what the run writes down, and nothing else."""
