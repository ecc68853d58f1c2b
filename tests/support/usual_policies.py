"""The table of calls and the policies, with what these faults need: by default the usual ones."""

from chaosaws_kms_ext.cli.policy import USUAL
from chaosaws_kms_ext.faults import needs_of
from chaosaws_kms_ext.iam import policies


def calls(faults=USUAL):
    return policies.calls(*needs_of(faults))


def policy(caller, place, faults=USUAL):
    return policies.policy(caller, place, *needs_of(faults))
