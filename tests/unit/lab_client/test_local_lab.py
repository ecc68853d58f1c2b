"""A lab by the settings, for runs and for the doctor; that it starts is shown by lab/."""

from __future__ import annotations

from dataclasses import fields

from chaosaws_kms_ext.lab_client.local_lab import LocalLab
from chaosaws_kms_ext.settings import Settings

OTHERWISE = {"lab_faults", "lab_somebody"}
"""What is ordered once it runs."""


def test_every_setting_of_a_lab_reaches_it(monkeypatch):
    started = {}

    def start(speed, profile, **options):
        started.update(speed=speed, profile=profile, **options)

    monkeypatch.setattr(LocalLab, "start", start)
    LocalLab.of(Settings(lab_readers=2, lab_tls="yes", canaries="yes"))
    wanted = {each.name for each in fields(Settings) if each.name.startswith("lab_")} - OTHERWISE
    assert {f"lab_{name}" for name in started if name != "dependents"} == wanted
    assert (started["readers"], started["tls"], started["dependents"]) == (2, True, True)
    assert (started["secondary_keys"], started["speed"]) == (False, Settings().lab_speed)
