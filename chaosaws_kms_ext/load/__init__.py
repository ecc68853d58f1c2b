"""Loads, for Chaos Toolkit: starting and stopping them, and what they say."""
