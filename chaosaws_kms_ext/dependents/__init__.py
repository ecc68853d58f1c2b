"""What else a key protects beside databases, one file a service: what it is, and how it fails.

A service is asked by its own calls. One that may not be asked, that is throttled, or that is not
known here is said to be unknown, by its name, and never to have nothing.
"""

from __future__ import annotations

from chaosaws_kms_ext.dependents.base import (
    BROKEN,
    SERVICES,
    Dependent,
    Request,
    Service,
    load,
    service,
)

__all__ = ["BROKEN", "SERVICES", "Dependent", "Request", "Service", "load", "service"]

load(__path__, __name__)
