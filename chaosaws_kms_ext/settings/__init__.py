"""Every setting once, and the settings of one run."""

from chaosaws_kms_ext.settings.sources import BadSetting, parse
from chaosaws_kms_ext.settings.settings import Settings

__all__ = ["BadSetting", "Settings", "parse"]
