"""Users, roles and sessions of the lab."""

from __future__ import annotations

import itertools
import json

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"},
        ],
    }
)


ALL = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}


NUMBERS = itertools.count()


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def session(own_lab, path="/", **params):
    """A role with every permission on KMS, and a KMS client of a session of it."""
    iam, name = own_lab.client("iam"), f"role{next(NUMBERS)}"
    role = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=TRUST)["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="kms", PolicyDocument=document(ALL))
    given = own_lab.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="one", **params)
    return role, own_lab.client("kms", **_keys(given["Credentials"]))


def user(own_lab, path="/"):
    """A user with every permission on KMS, their access key, and a KMS client with it."""
    iam, name = own_lab.client("iam"), f"user{next(NUMBERS)}"
    made = iam.create_user(UserName=name, Path=path)["User"]
    iam.put_user_policy(UserName=name, PolicyName="kms", PolicyDocument=document(ALL))
    access = iam.create_access_key(UserName=name)["AccessKey"]
    return made, access, own_lab.client("kms", access_key=access["AccessKeyId"])


def _keys(credentials):
    return {"access_key": credentials["AccessKeyId"], "token": credentials["SessionToken"]}


def allow(*actions, resource="*", **more):
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


def somebody(own_lab, *statements):
    """A client factory for a user with these statements and no other."""
    made, access, _ = user(own_lab)
    own_lab.client("iam").put_user_policy(
        UserName=made["UserName"], PolicyName="kms", PolicyDocument=document(*statements)
    )
    return lambda service: own_lab.client(service, access_key=access["AccessKeyId"])
