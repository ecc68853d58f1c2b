"""RDS Proxy: what listens for clients, holds their connections, and connects to the writer."""

from chaosaws_kms_lab.data_plane.rds_proxy.endpoint import RdsProxies, RdsProxy

__all__ = ["RdsProxies", "RdsProxy"]
