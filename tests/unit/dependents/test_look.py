"""One look: pages, the most that is asked about, the deadline."""

from __future__ import annotations

import pytest

from chaosaws_kms_ext.aws.client import AwsError
from chaosaws_kms_ext.dependents import look as looks
from chaosaws_kms_ext.dependents.look import MOST, TOKENS, Look

KEY = "arn:aws:kms:eu-west-1:123456789012:key/k"


class Pages:
    """Lists of `size` items, of which each answer has one page."""

    region = "eu-west-1"

    def __init__(self, pages, old="NextToken", new="NextToken"):
        self.pages, self.old, self.new, self.asked = pages, old, new, []

    def call(self, service, operation, params):
        self.asked.append(params)
        place = int(params.get(self.new, 0))
        more = {self.old: str(place + 1)} if place + 1 < len(self.pages) else {}
        return {"Items": self.pages[place], **more}


@pytest.mark.parametrize(("old", "new"), TOKENS)
def test_all_pages_are_read_whatever_the_service_calls_their_begin(old, new):
    aws = Pages([[1, 2], [], [3]], old, new)
    assert list(Look(aws, KEY, frozenset()).each("s", "List", "Items", Size=9)) == [1, 2, 3]
    assert [each["Size"] for each in aws.asked] == [9, 9, 9]


def test_more_than_the_most_is_not_asked_about_and_said():
    aws = Pages([list(range(MOST)), [MOST]])
    listed = Look(aws, KEY, frozenset()).each("s", "List", "Items")
    assert [next(listed) for _ in range(MOST)] == list(range(MOST))
    with pytest.raises(AwsError, match=f"more than {MOST}"):
        next(listed)


def test_a_service_that_gives_the_same_page_for_ever_ends():
    class Same:
        region = "eu-west-1"

        def call(self, service, operation, params):
            return {"Items": [1], "NextToken": "t"}

    assert list(Look(Same(), KEY, frozenset()).each("s", "List", "Items")) == [1, 1]


def test_when_the_time_is_over_nothing_more_is_asked(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(looks.time, "monotonic", lambda: now[0])
    aws = Pages([[1]])
    look = Look(aws, KEY, frozenset(), seconds=5)
    now[0] += 4
    look.ask("s", "List")
    now[0] += 2
    with pytest.raises(AwsError, match="no time for it: 5 s were over"):
        look.ask("s", "List")
    assert len(aws.asked) == 1


@pytest.mark.parametrize(
    ("named", "under"),
    [(KEY, True), ("k", True), ("alias/shop", True), ("alias/other", False), ("", False),
     (None, False), (7, False), (f"{KEY}2", False), ("alias/aws/sqs", False)],
)  # fmt: skip
def test_a_key_is_named_by_its_id_its_arn_or_an_alias(named, under):
    assert Look(Pages([]), KEY, frozenset({"alias/shop"})).is_under(named) is under
