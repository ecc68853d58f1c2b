"""The order in which a fault is safe, once for all of them: safeguards, inject, open faults."""
