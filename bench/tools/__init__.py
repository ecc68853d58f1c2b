"""One file a tool; importing this fills the table, in the order of the pages."""

from __future__ import annotations

from bench.tools import ours, plain_locust, pgbench, psql_loop, waiter, chaos_probe, k6  # isort: skip

__all__ = ["chaos_probe", "k6", "ours", "pgbench", "plain_locust", "psql_loop", "waiter"]
