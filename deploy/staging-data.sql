-- The table that probes/query_load.py asks: for a staging cluster that has no tables of its own yet.
CREATE TABLE IF NOT EXISTS users (
    id integer PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO users (id, name, email)
SELECT n, 'User ' || n, 'user' || n || '@example.com' FROM generate_series(1, 4) AS n
ON CONFLICT (id) DO NOTHING;
