"""The page of a run, report.html: one file that needs nothing else."""
