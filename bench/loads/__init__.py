"""Locust files of the benchmark."""
