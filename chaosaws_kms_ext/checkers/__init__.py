"""Judgement: pure functions from what was recorded to a result.

A result that could not be had is None and has a reason; nothing here reads a clock, a file or a
database.
"""
