"""docs/lab.md says what the tests show, no more and no less."""

from __future__ import annotations

import pytest

from chaosaws_kms_lab.dispatch import OWN
from tests.support.document import DOCUMENT, marked, render


def test_the_document_is_what_the_tests_say():
    assert DOCUMENT.read_text() == render(), "make docs"


@pytest.mark.parametrize("service", sorted(OWN))
def test_every_operation_of_the_lab_is_shown_by_a_test(service):
    rendered = render()
    missing = [name for name in OWN[service] if f"| `{name}` |" not in rendered]
    assert missing == []


def test_a_mark_names_what_has_to_be_called():
    marks = [
        pytest.mark.shows("kms:CreateKey", "kms:ListKeys").mark,
        pytest.mark.deviates("rds:CreateDBCluster", "no password").mark,
        pytest.mark.alone.mark,
    ]
    assert marked(marks) == {"kms:CreateKey", "kms:ListKeys", "rds:CreateDBCluster"}
