"""Every command of the pages is one that there is: program, options, files and settings.

Those that can be run here are run by tests/deploy/test_documented_commands.py.
"""

from __future__ import annotations

import pytest

from tests.support import documented
from tests.support.documented import ROOT, Command, read, sandbox
from tests.support.documented_checks import unknown_settings, wrong_with, wrong_with_part
from tests.support.documented_exceptions import ELSEWHERE, NOT_RUN, WHOLE_PAGES, why_not_run

PAGES = documented.pages()
BLOCKS = [each for each in documented.blocks() if each.page not in WHOLE_PAGES]


def problems(text, folder, block=None):
    """What is wrong with the commands of some lines of shell."""
    folder = sandbox(folder, block)
    found = [(command, wrong_with(command, folder)) for command in read(text, folder)]
    return [f"`{command}`: {wrong}" for command, wrong in found if wrong]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_command_of_a_block_is_one_that_there_is(block, tmp_path):
    assert problems(block.text, tmp_path, block) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_in_a_sentence_is_one_that_there_is(page):
    commands = {text for path, text in documented.inline() if path == page}
    found = {text: wrong_with_part(text) for text in commands}
    assert {text: wrong for text, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_setting_that_a_page_names_is_one_that_there_is(page):
    assert unknown_settings(page.read_text("utf-8")) == []


def test_a_command_that_is_not_run_is_still_shown_and_what_runs_it_is_there(tmp_path):
    folder = sandbox(tmp_path)
    shown = {str(each) for block in BLOCKS for each in read(block.text, folder)}
    for begin, why in {**ELSEWHERE, **NOT_RUN}.items():
        assert any(each.startswith(begin) and why_not_run(each) == why for each in shown), begin
    for page in WHOLE_PAGES:
        assert (ROOT / page).is_file(), page
    for file in [*ELSEWHERE.values(), *WHOLE_PAGES.values()]:
        assert (ROOT / file).is_file(), file


WRONG = {
    "chaos kms doctr": "No such command",
    "chaos kms doctor --every": "No such option",
    "chaos kms doctor --fault none": "is not one of",
    "chaos kms compare latest": "Missing argument",
    "chaos kms plan none.toml": "there is no none.toml",
    "chaos run experiments/none.json": "there is no experiments/none.json",
    "chaos runs": "No such command",
    "CHAOS_HOLDS=3 chaos run experiments/kms-disable.json": "nothing reads CHAOS_HOLDS",
    "CHAOS_RTO=soon chaos run experiments/kms-disable.json": "CHAOS_RTO",
    "export CHAOS_HOLDS=3": "nothing reads CHAOS_HOLDS",
    "aws kms enable-keys --key-id KEY": "Invalid choice",
    "aws kms enable-key": "--key-id",
    "aws kms enable-key --key-id KEY --region eu-west-1 --soon": "Unknown options: --soon",
    "aws kms enable-key --key-id ''": "Invalid length",
    "aws iam put-role-policy --role-name R --policy-name P --policy-document file://no": "file://no",
    "aws kms describe-key --key-id KEY --query 'Key['": "query",
    "make gamedays": "the Makefile has no gamedays",
    "make test PYTHONS=python3": "the Makefile has no PYTHONS",
    "pytest experiments/ --chaos-speed 3": "unrecognized arguments: --chaos-speed",
    "kubectl apply -f deploy/none.yaml": "there is no deploy/none.yaml",
    "sh docs/none.sh": "there is no docs/none.sh",
    "chaoss run": "no program that this test knows",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_in_a_command_is_found(text, tmp_path):
    (found,) = problems(text, tmp_path)
    assert WRONG[text] in found


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("chaos kms doctor --every …", "No such option"),
        ("chaos kms doctr", "No such command"),
        ("aws kms enable-keys", "Invalid choice"),
        ("aws rds copy-db-snapshot --key …", "Unknown options: --key"),
        ("make gamedays", "the Makefile has no gamedays"),
    ],
)
def test_a_mistake_in_a_sentence_is_found(text, wrong):
    assert wrong in wrong_with_part(text)


@pytest.fixture
def page(tmp_path):
    def written(text):
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "page.md").write_text(text)
        return tmp_path

    return written


def test_commands_in_a_block_that_does_not_say_so_are_found(page):
    with pytest.raises(ValueError, match="`CHAOS_RTO=3 chaos run x` has to begin with ```sh"):
        documented.blocks(page("```\nCHAOS_RTO=3 chaos run x\n```\n"))


def test_each_way_to_show_a_command_is_read(page):
    root = page("```sh\nmake a\n```\n\n```yaml\n# aws b\nx: 1\n```\n\nWith `make\nc` it\n")
    assert [block.text for block in documented.blocks(root)] == ["make a\n", "aws b"]
    assert [text for _, text in documented.inline(root)] == ["make c"]


def test_lines_are_read_as_a_shell_reads_them(tmp_path):
    text = (
        "export CHAOS_RTO=3 A='x y'\n"
        'CHAOS_HOLD=4 chaos run \\\n  "$A" # said\n'
        'cat > made.json <<END\n{"a": "$A"}\nEND\n'
        "chaos kms restore || aws sns publish > out\n"
    )
    found = read(text, sandbox(tmp_path))
    rto = ("CHAOS_RTO", "3")
    assert set(found) == {
        Command(("chaos", "run", "x y"), (("CHAOS_HOLD", "4"), rto)),
        Command(("chaos", "kms", "restore"), (rto,)),
        Command(("aws", "sns", "publish"), (rto,)),
        Command(("end",), (rto,)),
    }
    assert (tmp_path / "made.json").read_text() == '{"a": "x y"}\n'


def test_what_is_no_shell_is_said(tmp_path):
    with pytest.raises(ValueError, match="bash says"):
        read("chaos run 'x", sandbox(tmp_path))
