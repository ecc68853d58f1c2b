"""Every setting once: what it is called, what it may be, its unit, its default.

Durations about Aurora are AWS seconds. A new setting is one entry here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chaosaws_kms_ext.settings import parsers
from chaosaws_kms_ext.settings.periods import periods

__all__ = ["Table"]


def _setting(parse: parsers.Parser, default: Any, doc: str) -> Any:
    return field(default=default, metadata={"parse": parse, "doc": doc})


DAY = 86400.0
AURORA = parsers.seconds(1, 7 * DAY)
AURORA_OR_NONE = parsers.seconds(0, 7 * DAY)


@dataclass(frozen=True)
class Table:
    """Every setting. Durations of Aurora's are AWS seconds, the others seconds."""

    target: str = _setting(
        parsers.choice("lab", "aws"), "lab", "where to act: the local lab, or AWS"
    )
    cluster_id: str = _setting(parsers.name, "", "the DB cluster whose key is taken away (aws)")
    instance_id: str = _setting(
        parsers.instance,
        "",
        "in its place a DB instance that is no cluster's, as of RDS for PostgreSQL (aws)",
    )
    key_id: str = _setting(parsers.name, "", "its key, only to cross-check: id, ARN or alias (aws)")
    database: str = _setting(
        parsers.conninfo,
        "",
        "libpq conninfo, or mysql://user@host:3306/database, without password; what is left out "
        "is the cluster's own (aws)",
    )
    database_auth: str = _setting(
        parsers.choice("libpq", "iam", "secret"),
        "libpq",
        "where its password comes from: libpq (PGPASSWORD, ~/.pgpass; of MySQL: MYSQL_PWD, "
        "~/.my.cnf), a token of IAM, or Secrets Manager (aws)",
    )
    database_secret: str = _setting(
        parsers.name,
        "",
        "the secret, by name or ARN: JSON with username and password, as RDS writes it",
    )
    proxy: str = _setting(
        parsers.proxy,
        "",
        "the RDS Proxy, by name, through which the load asks the database; `auto`: the only one "
        "before it",
    )
    load_rate: float = _setting(
        parsers.number(1, 1_000_000, " of arrivals a second"), 200.0, "arrivals a second"
    )
    load_users: int = _setting(
        parsers.number(1, 1000, "", whole=True), 16, "connections of the load"
    )
    load_processes: int = _setting(
        parsers.number(1, 64, "", whole=True),
        1,
        "Locust processes that share the arrivals and the connections; each takes a core at most",
    )
    load_workers: str = _setting(
        parsers.choice("local", "remote"),
        "local",
        "where they run: on this machine, or on others, where somebody starts them (main load)",
    )
    load_master: str = _setting(
        parsers.address,
        "",
        "HOST:PORT of this machine, to which remote ones connect: on a network that you trust",
    )
    load_file: str = _setting(
        parsers.file, "", "a Locust file; without one, a load that any database answers"
    )
    load_writes: str = _setting(
        parsers.choice("own-schema", "none"), "own-schema", "where the load writes"
    )
    reader_load: str = _setting(
        parsers.choice("auto", "yes", "no"),
        "auto",
        "whether a second load, which only reads, runs over the reader endpoint: where there are "
        "readers and they can be reached, or else no run, or never",
    )
    reader_rate: float = _setting(
        parsers.number(0, 1_000_000, " of arrivals a second"),
        0.0,
        "its arrivals a second; by default half of CHAOS_LOAD_RATE; it has connections in "
        "proportion",
    )
    query_deadline: float = _setting(
        parsers.seconds(0.1, 60),
        2.0,
        "seconds for an answer, from when it was due; never compressed",
    )
    latency_limit: float = _setting(
        parsers.number(0, 600_000, " of milliseconds"),
        0.0,
        "milliseconds above which answers are late, by their 99th percentile; 0: five times that "
        "before the fault; never compressed",
    )
    status_poll_every: float = _setting(
        parsers.seconds(0.1, 60),
        0.0,
        "seconds between two looks at key, cluster, events and alarms; never compressed; by "
        "default 0.2 on the lab and 5 on AWS",
    )
    hold: float = _setting(AURORA, 600.0, "AWS seconds for which the outage is kept up")
    impact_timeout: float = _setting(
        AURORA, 10800.0, "AWS seconds until the loss of the key has to show"
    )
    expect_loss: str = _setting(
        parsers.choice("yes", "no"),
        "yes",
        "whether somebody is expected to take the key away, of an experiment that only watches; "
        "`no`: it passes if the load is answered all the time",
    )
    return_timeout: float = _setting(
        AURORA,
        7200.0,
        "AWS seconds until whoever took the key away has to have given it back, of an experiment "
        "that only watches",
    )
    recovery_strategy: str = _setting(
        parsers.choice("wait-then-start", "start", "self-only"),
        "wait-then-start",
        "how the cluster is brought back",
    )
    self_restart_within: float = _setting(
        AURORA, 2700.0, "AWS seconds to wait before StartDBCluster"
    )
    recovery_timeout: float = _setting(AURORA, 7200.0, "AWS seconds to wait for the recovery")
    normal_latency_within: float = _setting(
        AURORA_OR_NONE,
        600.0,
        "AWS seconds that the load goes on after the recovery, at most, until answers are as fast "
        "as before; 0: it does not",
    )
    provision_timeout: float = _setting(
        AURORA, 7200.0, "AWS seconds to wait for what is made, copied, restored or removed"
    )
    instance_class: str = _setting(
        parsers.name, "", "of instances that are made; by default the source's, or db.t4g.medium"
    )
    subnet_group: str = _setting(
        parsers.name,
        "",
        "the DB subnet group of clusters that are made from nothing; by default the account's",
    )
    security_groups: tuple[str, ...] = _setting(
        parsers.names, (), "their VPC security groups: ids, with commas; by default the account's"
    )
    max_key_unusable: float = _setting(
        parsers.seconds(1, 7 * DAY),
        0.0,
        "seconds that the key is away at most: the run puts it back some seconds earlier, or else "
        "its watchdog; never compressed; by default impact timeout, hold and 600",
    )
    connect_timeout: float = _setting(
        AURORA,
        1800.0,
        "AWS seconds for a custom key store to connect again; CloudHSM takes up to 20 minutes",
    )
    rto: float = _setting(
        AURORA,
        3600.0,
        "objective: AWS seconds from the key's return to the first answer of a steady service",
    )
    replacement_rto: float = _setting(
        AURORA,
        7200.0,
        "objective: AWS seconds from the order to restore until the restored cluster answers",
    )
    rpo: float = _setting(
        AURORA,
        14400.0,
        "objective: AWS seconds of acknowledged writes that may be missing in what replaces a "
        "cluster that is lost for good",
    )
    allowed_accounts: tuple[str, ...] = _setting(
        parsers.accounts, (), "account numbers, with commas; by default any that the tags allow"
    )
    blast_radius: int = _setting(
        parsers.number(0, 100_000, "", whole=True),
        0,
        "how many other things may lose the key too, exactly",
    )
    dependents: str = _setting(
        parsers.choice("look", "require", "skip"),
        "look",
        "whether the guard asks other services than RDS what they have under the key (aws; on the "
        "lab with CHAOS_CANARIES=yes), which is counted; with require it refuses where one is "
        "unknown",
    )
    canaries: str = _setting(
        parsers.choice("no", "yes"),
        "no",
        "whether what other services have under the key, and carries the opt-in tag, is tried each "
        "second (a queue gets a message): when it fails, and when it is back; on the lab, such "
        "things are made",
    )
    without_backup: str = _setting(
        parsers.choice("no", "yes"), "no", "whether to go without a snapshot under another key"
    )
    backup_within: float = _setting(
        parsers.seconds(1, 3650 * DAY), 7 * DAY, "AWS seconds that such a snapshot may be old"
    )
    allow_key_deletion: str = _setting(
        parsers.choice("no", "yes"),
        "no",
        "whether a fault may schedule the deletion of the cluster's key, 30 days ahead (aws)",
    )
    not_during: tuple[str, ...] = _setting(
        periods,
        (),
        "when no fault may be injected, with commas, in UTC: `2026-12-20/2027-01-02`, "
        "`fri:16:00-mon:08:00`, or `maintenance`, the cluster's own window; a run must not reach "
        "into one either",
    )
    allow_key_store: str = _setting(
        parsers.choice("no", "yes"),
        "no",
        "whether a fault may disconnect the custom key store that the cluster's key is in: with it "
        "every key of the store is away (aws)",
    )
    without_switch: str = _setting(
        parsers.choice("no", "yes"),
        "no",
        "whether a fault that no switch can put back is injected all the same",
    )
    switch_role: str = _setting(
        parsers.role, "", "the role of the dead man's switch: its ARN (aws)"
    )
    stop_alarms: tuple[str, ...] = _setting(
        parsers.names, (), "CloudWatch alarms, with commas, that end the run when they go off"
    )
    alarms: tuple[str, ...] = _setting(
        parsers.alarms,
        (),
        "CloudWatch alarms, by name or ARN, with commas, that are only watched: how long until one "
        "went off",
    )
    events_queue: str = _setting(
        parsers.queue,
        "",
        "the SQS queue, by ARN or URL, to which a rule of EventBridge sends RDS' events: they are "
        "read there, and not by DescribeEvents (aws)",
    )
    notify_topic: str = _setting(
        parsers.topic,
        "",
        "the SNS topic, by its ARN, that is told when a run begins, when its fault is there, and "
        "how it ended (aws)",
    )
    reports_dir: str = _setting(parsers.folder, "reports", "where runs leave their folders")
    report_files: tuple[str, ...] = _setting(
        parsers.names,
        ("all",),
        "kinds of files that a run leaves beside summary.json, with commas: `html`, `md`, `junit`, "
        "`metrics`; or `all`, or `none`",
    )
    watch: str = _setting(
        parsers.choice("no", "yes"),
        "no",
        "whether a page shows the run while it happens: its address is printed, and on a desktop "
        "it is opened; it goes a minute after the run",
    )
    lab_speed: float = _setting(
        parsers.number(0.1, 10_000, ""), 60.0, "AWS seconds in one second on the lab"
    )
    lab_profile: str = _setting(
        parsers.choice("observed", "documented"), "observed", "how the lab's Aurora behaves"
    )
    lab_tls: str = _setting(
        parsers.choice("no", "yes"), "no", "whether the lab's databases take TLS only"
    )
    lab_readers: int = _setting(
        parsers.number(0, 15, "", whole=True), 0, "how many readers the lab's cluster has"
    )
    lab_clusters: int = _setting(
        parsers.number(1, 4, "", whole=True), 1, "how many clusters the lab has, all under one key"
    )
    lab_database: str = _setting(
        parsers.choice("cluster", "instance"),
        "cluster",
        "what the lab's first database is: an Aurora cluster, or a DB instance of RDS for "
        "PostgreSQL",
    )
    lab_key_store: str = _setting(
        parsers.choice("no", "cloudhsm", "external"),
        "no",
        "the custom key store of the lab's KMS that this key is in: of AWS CloudHSM, or external",
    )
    lab_somebody: str = _setting(
        parsers.choice("disable-key", "deny-by-policy", "nobody"),
        "disable-key",
        "what somebody else does to the key on the lab while an experiment only watches",
    )
    lab_secondary_keys: str = _setting(
        parsers.choice("no", "yes"),
        "no",
        "whether the lab's cluster has a secret, Performance Insights and an activity stream, each "
        "under a key of its own",
    )
    lab_proxy: str = _setting(
        parsers.choice("no", "yes"),
        "no",
        "whether an RDS Proxy, orders-proxy, stands before the lab's cluster, with its secret "
        "under a key of its own",
    )
    lab_maintenance: float = _setting(
        AURORA_OR_NONE,
        0.0,
        "AWS seconds that the maintenance takes that is pending for the lab's cluster, and is "
        "applied when that comes back; 0: none is",
    )
    lab_recoverable_for: float = _setting(
        AURORA,
        7 * DAY,
        "AWS seconds for which the lab's clusters stay recoverable without their key, before they "
        "are lost for good: 7 days on AWS; fewer are said in the summary",
    )
    lab_faults: tuple[dict[str, Any], ...] = _setting(
        parsers.orders,
        (),
        "what goes wrong on the lab: a JSON list, as `chaos kms lab fault list` prints it",
    )
