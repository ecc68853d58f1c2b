"""A stand-in for AWS on this machine: our own KMS and RDS, moto for the rest, real PostgreSQL.

A program of its own, started as `python -m chaosaws_kms_lab` and imported by nobody: the rest
of the package meets it as it meets AWS, over HTTP and the PostgreSQL protocol.
"""
