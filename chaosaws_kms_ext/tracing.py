"""Spans for OpenTelemetry, where something else in this process has set it up; else nothing.

Chaos Toolkit's own control does: `chaostracing.oltp`, of chaostoolkit-opentracing. Whoever sets up
a tracer provider has imported OpenTelemetry's API before: so it is never imported here, and where
it is not there a span costs a look into a dictionary.

A span holds what we write into it: no argument of a call and no message of an error, which may hold
secrets.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

__all__ = ["in_span"]

API = "opentelemetry.trace"


@contextlib.contextmanager
def in_span(name: str, *, client: bool = False, **attributes: str | float) -> Iterator[None]:
    """What is done meanwhile is a span, with these attributes; `_` in their names stands for `.`.

    `client`: it is a call of another service. What is raised goes on, and its type, or AWS' error
    code, is the attribute `error.type`.
    """
    trace = sys.modules.get(API)
    if trace is None:
        yield
        return
    with trace.get_tracer("chaosaws_kms_ext").start_as_current_span(
        name,
        kind=trace.SpanKind.CLIENT if client else trace.SpanKind.INTERNAL,
        attributes={key.replace("_", "."): value for key, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except BaseException as problem:
            span.set_attribute("error.type", getattr(problem, "code", "") or type(problem).__name__)
            span.set_status(trace.StatusCode.ERROR)
            raise
