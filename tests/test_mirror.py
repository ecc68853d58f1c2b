"""Where a test of a module stands, and what a test may import."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "chaosaws_kms_ext"
UNIT = TESTS / "unit"

ELSEWHERE = {
    "activities.py": "what every action and probe does: e2e/test_bad_arguments",
    "aurora/actions.py": "only real clusters show it: e2e/test_activities, test_making",
    "aurora/described.py": "with the actions that return it",
    "aurora/failover.py": "only real clusters show it: e2e/test_experiments (kms-failover)",
    "aurora/maintenance.py": "whole runs of kms-maintenance: unit/guard/test_maintenance",
    "aurora/point_in_time.py": "only real clusters show it: e2e/test_terminal, test_making",
    "aurora/probes.py": "only real clusters show it: e2e/test_probes, test_activities",
    "aws/maintenance.py": "unit/guard/test_maintenance",
    "aws/alarms.py": "unit/test_watcher, unit/controls/test_stop_conditions",
    "aws/cloudtrail.py": "what CloudTrail tells: unit/audit/test_probes",
    "aws/conditions.py": "a part of a policy: unit/aws/test_key_policy",
    "aws/key_material.py": "unit/faults/test_delete_key_material",
    "aws/key_stores.py": "unit/guard/test_key_store",
    "aws/kms.py": "one call a function, with no decision of its own: e2e/test_probes",
    "aws/database.py": "the interface: unit/aws/test_cluster, test_instance",
    "aws/names.py": "names only",
    "aws/principals.py": "a part of a policy: unit/aws/test_key_policy",
    "aws/rds.py": "one call a function: e2e/test_probes, test_making",
    "aws/rds_events.py": "unit/test_watcher, e2e/test_probes",
    "aws/secondary_keys.py": "unit/kms/test_secondary",
    "aws/spans.py": "unit/test_tracing, e2e/test_one_run",
    "aws/start_cluster.py": "what AWS refuses at first: e2e/test_activities, soak/test_api_faults",
    "aws/topic.py": "unit/controls/test_notices",
    "aws/statuses.py": "a table; its meanings: e2e/test_probes",
    "checkers/key_events.py": "unit/checkers/test_outage, test_base",
    "checkers/outage_figures.py": "types only: unit/report/test_schemas",
    "checkers/phases.py": "unit/checkers/test_availability",
    "checkers/write_numbers.py": "unit/checkers/test_integrity, test_stale_reads",
    "cli/doctor.py": "e2e/test_doctor",
    "cli/export.py": "unit/report/test_export",
    "cli/lab.py": "lab/test_process_lifetime",
    "cli/load_worker.py": "unit/loadgen/client/test_worker",
    "cli/misbehaviours.py": "lab/test_misbehaviours",
    "cli/plan.py": "soak/test_plans, unit/plans",
    "cli/policy.py": "unit/iam/test_policies",
    "cli/restore.py": "e2e/test_safeguards, test_restore_of_the_made",
    "controls/guarded.py": "unit/kms/test_secondary",
    "controls/conclude.py": "whole runs: e2e/test_kms_disable, test_stalls",
    **{
        f"dependents/{name}.py": "a service as each is asked: unit/dependents/test_find"
        for name in (
            "dynamodb",
            "ec2",
            "lambda_",
            "logs",
            "s3",
            "secretsmanager",
            "sns",
            "sqs",
            "ssm",
        )
    },
    "discovery.py": "unit/faults/test_base, unit/checkers/test_base",
    "faults/disable_key.py": "every fault: unit/faults/test_base",
    "faults/schedule_key_deletion.py": "every fault: unit/faults/test_base",
    "cli/all_clusters.py": "e2e/test_all_clusters",
    "fleet/show.py": "e2e/test_all_clusters",
    "guard/beside.py": "unit/guard/test_guard",
    "guard/findings.py": "values only: unit/guard/test_guard",
    "guard/leftovers.py": "e2e/test_safeguards",
    "guard/recoverable.py": "unit/guard/test_guard",
    "history/columns.py": "unit/history/test_reader, and every checker's test",
    "history/database_rows.py": "unit/history/test_reader, unit/checkers/test_integrity",
    "history/event_details.py": "types only: unit/report/test_schemas",
    "history/events.py": "names only",
    "history/history.py": "unit/history/test_reader, and every checker's test",
    "history/read_recorded.py": "unit/history/test_reader",
    "history/records.py": "unit/history/test_reader, and every checker's test",
    "history/rows_file.py": "unit/history/test_reader",
    "history/writer.py": "unit/history/test_reader reads what it writes",
    "iam/needs.py": "values only: unit/iam/test_policies",
    "iam/permissions.py": "a table: unit/iam/test_policies, e2e/test_least_privilege",
    "inject/by_others.py": "whole runs: soak/test_watch_only, soak/test_plans",
    "inject/key_away.py": "e2e/test_stop_conditions",
    "inject/strategy.py": "how `chaos run` was started: e2e/test_stalls",
    "kms/actions.py": "unit/faults, e2e/test_activities",
    "kms/blink.py": "unit/kms/test_flapping, e2e/test_blinks",
    "kms/described.py": "unit/kms/test_probes",
    "history/blink_details.py": "unit/report/test_schemas",
    "history/proxy_details.py": "types only: unit/report/test_schemas",
    "history/event_table.py": "unit/report/test_schemas",
    "kms/faces.py": "a table: unit/controls/test_experiment_rules",
    "kms/fault_step.py": "unit/faults, e2e/test_composed_faults",
    "kms/secondary_uses.py": "unit/kms/test_secondary",
    "kms/may_use.py": "e2e/test_probes, unit/aws/test_key_policy",
    "lab_client/misbehaviours.py": "lab/test_misbehaviours",
    "lab_client/presence.py": "unit/undo/test_journal",
    "load/actions.py": "unit/loadgen/test_loads",
    "load/probes.py": "unit/loadgen/test_loads, test_checksum",
    "loadgen/client/config.py": "unit/loadgen/test_process",
    "loadgen/client/default_load.py": "every load of unit/loadgen",
    "loadgen/client/default_load_mysql.py": "unit/loadgen/engines/test_mysql",
    "loadgen/client/driver.py": "unit/loadgen/test_process, unit/loadgen/client/test_user",
    "loadgen/client/master.py": "unit/loadgen/client/test_worker",
    "loadgen/client/port.py": "unit/loadgen/client/test_connector",
    "loadgen/client/witnesses.py": "unit/loadgen/engines/test_postgresql, test_mysql",
    "loadgen/drop_schema.py": "e2e/test_safeguards",
    "loadgen/engines/base.py": "the interface: unit/loadgen/engines/test_mysql, test_postgresql",
    "loadgen/engines/passfile.py": "unit/loadgen/test_passwords",
    "loadgen/engines/postgresql_checksum.py": "unit/loadgen/test_checksum",
    "loadgen/engines/postgresql_connection.py": "unit/loadgen/client/test_user",
    "loadgen/restarts.py": "unit/loadgen/test_loads",
    "loadgen/schema.py": "unit/loadgen/test_process",
    "settings/parsers.py": "unit/settings/test_sources",
    "settings/settings.py": "unit/settings/test_sources",
    "settings/table.py": "unit/settings/test_sources",
    "plans/item_process.py": "real processes: soak/test_plans",
    "processes.py": "who dies with whom: lab/test_process_lifetime",
    "recoveries.py": "only real clusters show it: e2e/test_activities, test_shared_key",
    "repeated_looks.py": "unit/test_watcher, unit/test_proxy_watcher",
    "report/drawing.py": "unit/report/test_terminal, unit/report/page/test_page",
    "report/files/html.py": "unit/report/page/test_page",
    "report/live/moment.py": "unit/report/live/test_figure, test_view",
    "report/run_files.py": "unit/cli/test_runs, unit/report/live/test_find",
    "report/page/section.py": "values only: unit/report/page/test_records",
    "cli/stored.py": "unit/cli/test_show, test_report",
    "report/page/template.py": "unit/report/page/test_page, unit/report/page/test_index",
    "report/page/timeline.py": "unit/report/page/test_page, browser/test_report_page",
    "report/journal.py": "e2e/test_broken_runs",
    "report/table.py": "unit/report/test_screen, test_summary",
    "resources/key_materials.py": "unit/faults/test_delete_key_material",
    "resources/create.py": "e2e/test_making",
    "resources/master_passwords.py": "unit/loadgen/test_conninfo, e2e/test_making",
    "run.py": "unit/history, unit/controls/test_run",
    "shipped/new_experiment.py": "unit/cli/test_new",
    "undo/bring_back.py": "unit/undo/test_restore, e2e/test_shared_key",
    "undo/restorer.py": "unit/undo/test_store",
    "undo/undo.py": "unit/undo/test_replay, test_store",
    "undo/watchdog.py": "processes that are killed: e2e/test_safeguards",
}
"""Modules without a test file of their own, and where they are tested."""


def modules():
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }


def mirrored():
    return {
        (path.parent / path.name.removeprefix("test_")).relative_to(UNIT).as_posix()
        for path in UNIT.rglob("test_*.py")
    }


def test_every_module_has_a_test_file_in_its_place_or_a_reason_why_not():
    assert modules() - mirrored() == set(ELSEWHERE)


def test_every_unit_test_is_one_of_a_module():
    assert mirrored() - modules() == set()


def test_what_is_said_to_be_tested_elsewhere_is():
    for module, where in ELSEWHERE.items():
        named = [word.strip(",:") for word in where.split() if "/" in word]
        for name in named:
            found = [TESTS / name, TESTS / f"{name}.py"]
            assert any(path.exists() for path in found), (module, name)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_test_file_imports_another():
    """What they share is in support/; conftest.py is pytest's own."""
    for path in TESTS.rglob("*.py"):
        for name in imports(path):
            last = name.rpartition(".")[2]
            test = name.startswith("tests.") and (last.startswith("test_") or last == "conftest")
            assert not (test and ".support." not in name), (path, name)
