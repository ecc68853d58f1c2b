"""Every setting once, and the settings of one run."""

from chaosaws_kms_ext.settings.settings import Settings
from chaosaws_kms_ext.settings.sources import BadSetting, parse

__all__ = ["BadSetting", "Settings", "parse"]
