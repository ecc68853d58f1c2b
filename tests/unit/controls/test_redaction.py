"""What the journal and the log are cleaned of, and what they keep."""

from __future__ import annotations

import json
import logging

import pytest

from chaosaws_kms_ext.controls.redaction import Redaction

SECRETS = {"team": {"token": "s3cr3t-token", "pin": "123"}, "flat": 'a:b/c d\n"e"'}


@pytest.fixture
def redaction():
    return Redaction(SECRETS)


def test_a_journal_keeps_all_but_the_secrets(redaction):
    journal = {
        "status": "completed",
        "experiment": {"configuration": {"x": {"provider": {"secrets": SECRETS}}}},
        "run": [{"output": {"stdout": "said s3cr3t-token", "code": 123}, "exception": ["123"]}],
        "rollbacks": (),
    }
    before, same = json.dumps(journal), journal
    redaction.clean(journal)
    assert journal is same
    assert json.loads(before) != journal
    configuration = journal["experiment"]["configuration"]
    assert configuration["x"]["provider"]["secrets"] == {
        "team": {"token": "***", "pin": "***"},
        "flat": "***",
    }
    assert journal["run"] == [{"output": {"stdout": "said ***", "code": 123}, "exception": ["***"]}]
    assert journal["status"] == "completed"


def test_without_secrets_a_journal_stays_as_it_is():
    journal = {"run": [{"output": ("a", "")}], "status": ""}
    Redaction({}).clean(journal)
    Redaction(None).clean(journal)
    assert journal == {"run": [{"output": ("a", "")}], "status": ""}


@pytest.mark.parametrize("spell", [str, repr, json.dumps, lambda text: "a%3Ab%2Fc%20d%0A%22e%22"])
def test_a_secret_is_known_in_other_spellings(redaction, spell):
    said = redaction.text(f"<{spell(SECRETS['flat'])}>")
    assert "a:b" not in said
    assert "***" in said


def test_a_secret_that_is_a_part_of_another_leaves_nothing_of_it():
    assert Redaction({"a": "word", "b": "pass-word-1"}).text("pass-word-1 word") == "*** ***"


def test_a_short_secret_is_hidden_only_where_it_stands_alone(redaction):
    assert redaction.text("123") == "***"
    assert redaction.text("after 123 s") == "after 123 s"


def test_a_log_record_and_its_traceback_are_cleaned(redaction, caplog):
    logger = logging.getLogger("chaostoolkit.of-this-test")
    logger.addFilter(redaction)
    try:
        raise ValueError("s3cr3t-token is wrong")
    except ValueError:
        logger.error("it is %s", "s3cr3t-token", exc_info=True)
    assert "s3cr3t-token" not in caplog.text
    assert "it is ***" in caplog.text
    assert "ValueError: *** is wrong" in caplog.text
