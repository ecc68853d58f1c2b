"""Real `chaos run`s: on the lab, and on a lab of the test's own that plays AWS."""

from tests.support.chaos import aws, chaos

__all__ = ["aws", "chaos"]
