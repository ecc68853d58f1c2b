"""A stand-in for AWS on this machine: our own KMS and RDS, moto for the rest, real PostgreSQL.

A program of its own, started as `python -m chaosaws_kms_lab`. The extension does not import it: it
uses the lab as it uses AWS, over HTTP and the PostgreSQL protocol.
"""
