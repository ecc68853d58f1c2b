"""An RDS Proxy before a cluster of a lab in this process."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.support.in_process_lab import InProcessLab

__all__ = ["LOGIN", "ROLE", "new_proxy", "new_secret"]

LOGIN = {"username": "app", "password": "not-so-secret"}
ROLE = "arn:aws:iam::123456789012:role/proxy"


def new_secret(lab: InProcessLab, key: str | None, content: Any = LOGIN) -> str:
    """The ARN of a secret under a key; None: under AWS' own."""
    asked = {"Name": f"login-{uuid.uuid4()}"} | ({"KmsKeyId": key} if key else {})
    text = content if isinstance(content, str) else json.dumps(content)
    made = lab.client("secretsmanager").create_secret(SecretString=text, **asked)
    return str(made["ARN"])


def new_proxy(
    lab: InProcessLab, secret: str, name: str = "front", cluster: str = "orders", wait: bool = True
) -> dict[str, Any]:
    """One that is registered, if there is a cluster, and has been so for some time, if `wait`."""
    rds = lab.client("rds")
    made = rds.create_db_proxy(
        DBProxyName=name,
        EngineFamily="POSTGRESQL",
        Auth=[{"AuthScheme": "SECRETS", "SecretArn": secret}],
        RoleArn=ROLE,
        VpcSubnetIds=["subnet-1", "subnet-2"],
    )["DBProxy"]
    lab.pass_time(120)
    if cluster:
        rds.register_db_proxy_targets(DBProxyName=name, DBClusterIdentifiers=[cluster])
        lab.pass_time(60 if wait else 0)
    return dict(made)
