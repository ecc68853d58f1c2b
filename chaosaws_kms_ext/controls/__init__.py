"""The one control that an experiment names: `chaosaws_kms_ext.controls.run`."""
