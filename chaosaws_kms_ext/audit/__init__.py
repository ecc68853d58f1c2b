"""The audit: what CloudTrail has of a run."""
