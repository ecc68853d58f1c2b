"""The client's side: what runs inside Locust and asks the database.

Nothing is imported here, on purpose: Locust must come before psycopg, and only in its own process.
"""
