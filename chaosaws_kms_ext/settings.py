"""Every setting once: what it is called, what it may be, its unit, its default.

A setting comes from the environment (`CHAOS_<KEY>`) or else from the experiment's `configuration`;
empty means the default. Durations about Aurora are AWS seconds; `Settings.real` alone knows that
they pass faster on the lab.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from chaosaws_kms_ext import parsers
from chaosaws_kms_ext.contradictions import contradictions
from chaosaws_kms_ext.errors import PlainError

__all__ = ["BadSetting", "Settings", "parse"]

STEADY_SPAN = 10.0
"""AWS seconds in which enough arrivals have to be answered for the database to count as back."""

FEWEST_ARRIVALS = 20
"""In how many arrivals at least that is judged, however fast the lab runs."""

RUN_MARGIN, WATCHDOG_MARGIN = 30.0, 3.0
"""Seconds before `max_key_unusable` that EnableKey is called by the run, and by its watchdog; of a
short limit a fourth and an eighth of it."""


class BadSetting(PlainError):
    """One sentence for each setting that is wrong: its name, what is wrong, what to do."""


def _setting(parse: parsers.Parser, default: Any, doc: str) -> Any:
    return field(default=default, metadata={"parse": parse, "doc": doc})


DAY = 86400.0
AURORA = parsers.seconds(1, 7 * DAY)
AURORA_OR_NONE = parsers.seconds(0, 7 * DAY)


@dataclass(frozen=True)
class Settings:
    """The settings of one run. Durations of Aurora's are AWS seconds, the others seconds."""

    target: str = _setting(
        parsers.choice("lab", "aws"), "lab", "where to act: the local lab, or AWS"
    )
    cluster_id: str = _setting(parsers.name, "", "the DB cluster whose key is taken away (aws)")
    key_id: str = _setting(parsers.name, "", "its key, only to cross-check: id, ARN or alias (aws)")
    database: str = _setting(
        parsers.conninfo,
        "",
        "libpq conninfo without password; what is left out is the cluster's own (aws)",
    )
    database_auth: str = _setting(
        parsers.choice("libpq", "iam", "secret"),
        "libpq",
        "where its password comes from: libpq (PGPASSWORD, ~/.pgpass), a token of IAM, or Secrets "
        "Manager (aws)",
    )
    database_secret: str = _setting(
        parsers.name,
        "",
        "the secret, by name or ARN: JSON with username and password, as RDS writes it",
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
        parsers.file, "", "a Locust file; without one, a load that any PostgreSQL answers"
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
    hold: float = _setting(AURORA, 600.0, "AWS seconds for which the outage is kept up")
    impact_timeout: float = _setting(
        AURORA, 10800.0, "AWS seconds until the loss of the key has to show"
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
    allowed_accounts: tuple[str, ...] = _setting(
        parsers.accounts, (), "account numbers, with commas; by default any that the tags allow"
    )
    blast_radius: int = _setting(
        parsers.number(0, 100_000, "", whole=True),
        0,
        "how many other things may lose the key too, exactly",
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
    lab_faults: tuple[dict[str, Any], ...] = _setting(
        parsers.orders,
        (),
        "what goes wrong on the lab: a JSON list, as `chaos kms lab fault list` prints it",
    )

    @classmethod
    def documented(cls) -> Iterator[tuple[str, Any, Sequence[str], str]]:
        """Each setting: its name, default, choices if there are some, and what it is."""
        for each in fields(cls):
            parse = each.metadata["parse"]
            choices = parse if isinstance(parse, parsers.Choice) else ()
            yield each.name, each.default, choices, each.metadata["doc"]

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> Settings:
        """Settings as a run has written them down; a new one has its default.

        Raises ValueError for one that there is not, or that is none.
        """
        defaults = {each.name: each.default for each in fields(cls)}
        if unknown := set(said) - set(defaults):
            raise ValueError(f"no setting is called {', '.join(sorted(unknown))}")
        for name, value in said.items():
            if not _is_like(value, defaults[name]):
                raise ValueError(f"the setting {name} cannot be {value!r:.60}")
        if not said.get("lab_speed", 1) > 0:
            raise ValueError("the setting lab_speed must be above 0")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in said.items()
        }
        return cls(**values)

    def real(self, aws_seconds: float) -> float:
        """AWS seconds as seconds of this run's clock."""
        return aws_seconds / self.lab_speed if self.target == "lab" else aws_seconds

    def aws_seconds(self, real: float) -> float:
        """Seconds of this run's clock as AWS seconds."""
        return real * self.lab_speed if self.target == "lab" else real

    @property
    def longest_key_unusable(self) -> float:
        """`max_key_unusable`, or what follows from the other settings; seconds, not compressed."""
        return self.max_key_unusable or self.impact_timeout + self.hold + 600

    @property
    def put_back_after(self) -> float:
        """Seconds from DisableKey after which the run puts the key back: in time for the limit."""
        return self.longest_key_unusable - min(RUN_MARGIN, self.longest_key_unusable / 4)

    @property
    def watchdog_after(self) -> float:
        """Seconds after which its watchdog does, if the run has not: in time for the limit too."""
        return self.longest_key_unusable - min(WATCHDOG_MARGIN, self.longest_key_unusable / 8)

    @property
    def longest_outage(self) -> float:
        """Seconds that the key is away at most; on the lab without its watchdog, which has none."""
        longest = self.longest_key_unusable
        if self.target == "aws":
            return longest
        return min(longest, self.real(self.impact_timeout + self.hold + 600))

    @property
    def longest_run(self) -> float:
        """Seconds that a run takes at most, by its own limits, with some for either end."""
        away = self.real(self.impact_timeout + self.hold)
        if self.max_key_unusable:  # then the run puts the key back, wherever it is
            away = min(away, self.max_key_unusable)
        return away + self.real(self.recovery_timeout) + 600

    @property
    def steady_window(self) -> float:
        """Seconds in which 99 % of the arrivals have to be answered to count as recovered."""
        return self.steady_window_at(self.load_rate)

    def steady_window_at(self, rate: float) -> float:
        """The same for a load of so many arrivals a second."""
        return max(self.real(STEADY_SPAN), FEWEST_ARRIVALS / rate)

    @property
    def arrivals_over_reader(self) -> float:
        """Arrivals a second of the load over the reader endpoint."""
        return self.reader_rate or max(self.load_rate / 2, 1.0)

    @property
    def users_over_reader(self) -> int:
        """Connections of that load."""
        return max(math.ceil(self.load_users * self.arrivals_over_reader / self.load_rate), 1)

    @property
    def status_poll(self) -> float:
        """Seconds between two looks at the cluster's status."""
        return 0.2 if self.target == "lab" else 5.0


def _is_like(value: Any, default: Any) -> bool:
    """Whether a value read from a file has the type of a setting."""
    if isinstance(default, float):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if isinstance(default, tuple):
        return isinstance(value, list | tuple)
    return type(value) is type(default)


NAMES = {f"CHAOS_{item.name.upper()}": item.name for item in fields(Settings)}


def parse(
    configuration: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
    needs_cluster: bool = True,
) -> Settings:
    """The settings of this run; raises BadSetting with everything that is wrong with them.

    `needs_cluster`: whether a run on AWS has to name one.
    """
    problems = [_misspelt(name) for name in environ if _looks_misspelt(name)]
    values: dict[str, Any] = {}
    for item in fields(Settings):
        variable = f"CHAOS_{item.name.upper()}"
        of_environment = environ.get(variable)
        given = of_environment or (configuration or {}).get(item.name)
        if given in (None, ""):
            continue
        try:
            if isinstance(given, (dict, list, bool)):
                raise ValueError("must be text or a number")
            values[item.name] = item.metadata["parse"](str(given).strip())
        except ValueError as wrong:
            # A connection string is not repeated: it may hold a password.
            shown = "" if item.name == "database" else f", not {_shown(given)}"
            by = "" if of_environment else f" (the experiment's {item.name})"
            problems.append(f"{variable}{by} {wrong}{shown}")
    # A value that could not be read contradicts nothing.
    defaults = {item.name: item.default for item in fields(Settings)}
    problems = problems or contradictions({**defaults, **values}, set(values), needs_cluster)
    if problems:
        raise BadSetting("; ".join(problems))
    return Settings(**values)


def _looks_misspelt(name: str) -> bool:
    return name.startswith("CHAOS_") and name not in NAMES and bool(_nearest(name))


def _misspelt(name: str) -> str:
    return f"{name} is no setting: did you mean {_nearest(name)[0]}?"


def _nearest(name: str) -> list[str]:
    return difflib.get_close_matches(name, NAMES, n=1, cutoff=0.85)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
