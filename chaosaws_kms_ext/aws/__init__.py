"""The only access to AWS: its client, and what we ask of each service, in plain verbs."""
