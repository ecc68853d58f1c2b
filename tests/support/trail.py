"""What CloudTrail of the lab tells."""

from __future__ import annotations

import json

LAG, DELIVERY, RETRY = 450.0, 300.0, 60.0


def look(own_lab, **attribute):
    """The records of the trail, oldest first; by one attribute if one is given."""
    wanted = [{"AttributeKey": k, "AttributeValue": v} for k, v in attribute.items()]
    paginator = own_lab.client("cloudtrail").get_paginator("lookup_events")
    pages = paginator.paginate(LookupAttributes=wanted)
    events = [event for page in pages for event in page["Events"]]
    return [json.loads(event["CloudTrailEvent"]) for event in reversed(events)]
