"""The queries that the steady state holds over. Put your service's own here.

Each method marked with `@read` is asked as often as its weight says; together they make
CHAOS_LOAD_RATE arrivals a second. What a query answers does not matter, that it answers in time
does: an arrival counts as answered within CHAOS_QUERY_DEADLINE seconds of the instant it was due.

A query gets a psycopg connection in autocommit mode, and has to read only: one arrival in ten is a
write of the load itself, into its own schema `chaos_kms`, and one a read of what was written there
(CHAOS_LOAD_WRITES=none: neither).
These ask the table `users` that the local lab comes with.
"""

import random

from chaosaws_kms_ext.loadgen.client.user import QueryUser, read

ONE_USER = "SELECT id, name, email, created_at FROM users WHERE id = %s"
ALL_USERS = "SELECT id, name, email, created_at FROM users ORDER BY id"


class Shop(QueryUser):
    @read(weight=3)
    def one_user(self, connection):
        connection.execute(ONE_USER, (random.randint(1, 4),), prepare=True).fetchone()

    @read(weight=1)
    def all_users(self, connection):
        connection.execute(ALL_USERS, prepare=True).fetchall()
