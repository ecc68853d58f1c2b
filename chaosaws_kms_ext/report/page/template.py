"""Fills a template of this folder: text of others stays text, and nothing is asked of anybody."""

from __future__ import annotations

from typing import Any

from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined

from chaosaws_kms_ext.text import shortened

__all__ = ["render", "script_of_bokeh"]


def render(template: str, **values: Any) -> str:
    """The page of these values."""
    environment = Environment(
        loader=PackageLoader("chaosaws_kms_ext.report.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
    )
    # Bokeh's references follow what they refer to.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    return environment.get_template(template).render(**values)


def script_of_bokeh() -> str:
    """The library itself, as a part of the page."""
    return str(Resources(mode="inline", components=["bokeh"]).render_js())


def _shown(value: Any) -> Any:
    """Text of others: printable, and not longer than a person reads."""
    return shortened(value) if type(value) is str else value
