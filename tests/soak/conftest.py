"""A lab that plays AWS, as the end-to-end tests have it."""

from tests.support.chaos import aws, chaos

__all__ = ["aws", "chaos"]
