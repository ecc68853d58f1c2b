"""The lab's data plane: real PostgreSQL servers behind the lab's Aurora clusters."""

from chaosaws_kms_lab.data_plane.binaries import Binaries, LabCannotStart
from chaosaws_kms_lab.data_plane.ports import PORTS
from chaosaws_kms_lab.data_plane.postgres import Postgres
from chaosaws_kms_lab.data_plane.servers import Endpoints, Servers

__all__ = ["PORTS", "Binaries", "Endpoints", "LabCannotStart", "Postgres", "Servers"]
