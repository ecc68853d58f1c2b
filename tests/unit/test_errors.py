"""What is told to a person: one base class, so that nothing of it becomes a traceback."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import chaosaws_kms_ext
from chaosaws_kms_ext.errors import PlainError

OTHERS = {
    "BadRecord",
    "BadSearch",
    "DeadlinePassed",
    "NotAnUndo",
    "NotPassed",
    "NotPrivate",
    "_Left",
}
"""Of somebody else's kind (an OSError, a ValueError that another error names as its reason), or
caught where they are raised."""


def test_every_error_of_ours_is_told_in_a_sentence():
    found = set()
    for module in pkgutil.walk_packages(chaosaws_kms_ext.__path__, "chaosaws_kms_ext."):
        if ".client" in module.name:  # the load's own process, under gevent
            continue
        for name, each in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(each, Exception) and each.__module__.startswith("chaosaws_kms_ext."):
                found.add((name, issubclass(each, PlainError)))
    assert {name for name, plain in found if not plain} <= OTHERS
    assert {"AwsError", "BadSetting", "JournalDamaged", "Refused"} <= {
        name for name, plain in found if plain
    }
