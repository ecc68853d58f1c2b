"""The benchmark's query, by the user for PostgreSQL that Locust brings."""

from __future__ import annotations

import os

from locust import constant_throughput, task
from locust.contrib.postgres import PostgresUser

from bench.tool import QUERY


class Bench(PostgresUser):
    """As Locust's own example does it, at a rate."""

    conn_string = os.environ["BENCH_CONNINFO"]
    wait_time = constant_throughput(float(os.environ["BENCH_EACH"]))

    @task
    def one_row(self) -> None:
        """As the other tools ask it."""
        self.client.execute_query(QUERY)
