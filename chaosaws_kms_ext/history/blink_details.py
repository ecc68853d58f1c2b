"""The details of the events of a blink: the key is away for a short time."""

from __future__ import annotations

from typing import TypedDict

__all__ = ["Blink", "BlinkBegan"]


class BlinkBegan(TypedDict):
    """For how long the key is to be away, in AWS seconds."""

    asked_aws_seconds: float


class Blink(BlinkBegan):
    """Whether an outage was seen, and by what."""

    outage: bool
    why: str
