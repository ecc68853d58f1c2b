"""AWS Lambda: functions whose environment variables are under a customer managed key."""

from __future__ import annotations

from collections.abc import Iterator

from chaosaws_kms_ext.dependents.base import Dependent, Service, service
from chaosaws_kms_ext.dependents.look import Look

__all__ = ["Lambda"]


@service
class Lambda(Service):
    """Lists the functions; their key stands in the list."""

    name = "lambda"
    fails = "Invoke fails with KMSDisabledException or KMSInvalidStateException (HTTP 502) where a "
    fails += "new execution environment starts; those that run keep their variables"
    source = "AWS Lambda API reference, Invoke, Errors"
    looks = ("lambda:ListFunctions",)

    def under(self, look: Look) -> Iterator[Dependent]:
        for each in look.each("lambda", "ListFunctions", "Functions", MaxItems=50):
            if look.is_under(each.get("KMSKeyArn")):
                arn = each["FunctionArn"]
                context = (("aws:lambda:FunctionArn", arn),)
                yield Dependent(self.name, "function", each["FunctionName"], arn, None, context)
