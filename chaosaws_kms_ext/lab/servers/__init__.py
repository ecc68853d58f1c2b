"""The lab's data plane: real PostgreSQL servers behind the lab's Aurora clusters."""

from chaosaws_kms_ext.lab.servers.binaries import Binaries, LabCannotStart
from chaosaws_kms_ext.lab.servers.plane import Endpoints, Servers
from chaosaws_kms_ext.lab.servers.ports import PORTS
from chaosaws_kms_ext.lab.servers.postgres import Postgres

__all__ = ["PORTS", "Binaries", "Endpoints", "LabCannotStart", "Postgres", "Servers"]
