"""Measures this suite beside what people use today: `make bench` writes docs/benchmark.md."""
