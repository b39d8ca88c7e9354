"""The demo's steps: a job succeeds, fails, recovers, and a run is missed; each records when its alert arrived."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from demo import sample
from demo.inbox import Inbox
from demo.inbox_reader import SINKS, Expected, title_of
from demo.programs import Program, TookTooLong
from demo.screen import Screen
from demo.standalone import EMAIL, SLACK, SWEEP, Standalone

BY_DAG, BY_LISTEN = "triggerer and DAG", "airflow jobmon listen"
ALERT_TIMEOUT = 60.0
"""Seconds until the demo counts an alert as lost."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the final table."""

    step: str
    path: str
    channel: str
    expected: str
    arrived: str
    seconds: float | None
    good: bool

    def cells(self) -> list[str]:
        return [self.step, self.path, self.channel, self.expected, self.arrived, shown(self.seconds)]


@dataclass
class Steps:
    """Runs the steps one after the other; `rows` holds their results."""

    conn: sample.Connection
    inbox: Inbox
    airflow: Standalone
    screen: Screen
    listen: Program | None = None
    rows: list[Row] = field(default_factory=list)
    _used: set[int] = field(default_factory=set)

    def succeeds(self) -> None:
        self.screen.title("The job succeeds: no alert is sent")
        waiting, before = sample.count_past_due(self.conn), self._last_id()
        error = sample.run_job(self.conn, sample.INSTALLMENTS)
        left = sample.count_past_due(self.conn)
        self.screen.step(
            f"{sample.INSTALLMENTS} marked {waiting - left} of {waiting} past due installments as overdue,"
            " by each agency's own time zone"
        )
        self._wait_until_evaluated(sample.INSTALLMENTS)
        arrived = self.inbox.received(before)
        good = error is None and left == 0 and waiting > 0 and not arrived
        titles = ", ".join(title_of(message) for message in arrived) or "nothing"
        self.screen.step(f"alerts: {titles}", "good" if good else "bad")
        self._used.update(message["id"] for message in arrived)
        self.rows.append(Row("succeeds", "every path", "both", "nothing", error or titles, None, good))

    def fails(self) -> None:
        self.screen.title(
            "It fails: the watcher in Airflow's triggerer starts the DAG jobmon_alerts (no `listen` is running)"
        )
        sample.add_past_due(self.conn, 7)
        sample.bank_answers(self.conn, False)
        waiting = sample.count_past_due(self.conn)
        error = sample.run_job(self.conn, sample.INSTALLMENTS)
        sample.bank_answers(self.conn, True)
        self.screen.step(
            f'the bank does not answer: "{error}"; its work is rolled back ({sample.count_past_due(self.conn)} of'
            f" {waiting} still pending), its failure is logged"
        )
        moment = sample.last_ended(self.conn, sample.INSTALLMENTS)
        self._expect("fails", BY_DAG, Expected(sample.INSTALLMENTS, "Job Failed"), moment)

    def recovers(self) -> None:
        self.screen.title(f"It recovers: the next sweep (here every {SWEEP:g} s) detects it")
        waiting = sample.count_past_due(self.conn)
        sample.run_job(self.conn, sample.INSTALLMENTS)
        self.screen.step(
            f"the bank answers again: {waiting - sample.count_past_due(self.conn)} installments marked as overdue"
        )
        moment = sample.last_ended(self.conn, sample.INSTALLMENTS)
        self._expect("recovers", BY_DAG, Expected(sample.INSTALLMENTS, "Job Failed", resolved=True), moment)

    def fails_while_listening(self) -> None:
        self.screen.title("Another job fails while `airflow jobmon listen` runs alongside Airflow")
        sample.move_agency(self.conn, "Lindenhof Sprachreisen", "Europe/Berlni")
        error = sample.run_job(self.conn, sample.REMINDERS)
        self.screen.step(f"a time zone has a typo, and {sample.REMINDERS} fails: {error}")
        moment = sample.last_ended(self.conn, sample.REMINDERS)
        self._expect("fails", BY_LISTEN, Expected(sample.REMINDERS, "Job Failed"), moment)

    def recovers_while_listening(self) -> None:
        sample.move_agency(self.conn, "Lindenhof Sprachreisen", "Europe/Berlin")
        sample.run_job(self.conn, sample.REMINDERS)
        self.screen.step("the time zone is corrected, and the next run succeeds")
        moment = sample.last_ended(self.conn, sample.REMINDERS)
        self._expect("recovers", BY_LISTEN, Expected(sample.REMINDERS, "Job Failed", resolved=True), moment)

    def misses_a_run(self) -> None:
        self.screen.title("A run is missed: the watcher detects it after its deadline")
        deadline = datetime.now(UTC) + timedelta(seconds=4)
        sample.backdate_last_run(self.conn, sample.BANK_SYNC, deadline - timedelta(minutes=25))
        self.screen.step(
            f"{sample.BANK_SYNC} runs every 20 min with 5 min of grace; its last run is backdated to"
            f" {deadline - timedelta(minutes=25):%H:%M:%S} UTC, so the next one is due by {deadline:%H:%M:%S}"
        )
        self._expect("is missed", BY_LISTEN, Expected(sample.BANK_SYNC, "Job Missed"), deadline)

    def record_unexpected(self) -> None:
        """Record each message that was not expected as a failure."""
        for message in self.inbox.received():
            if message["id"] not in self._used:
                self.rows.append(
                    Row("-", "-", SINKS[message["sink"]], "nothing", title_of(message), message["seconds"], good=False)
                )

    def wait_for_watcher(self, kind: str, program: Program, timeout: float) -> None:
        """Wait for the heartbeat of a watcher of this kind (`trigger` or `listen`)."""
        query = "SELECT count(*) FROM airflow_jobmon.watchers WHERE kind = %s AND seen_at > now() - interval '15 s'"

        def watching() -> bool:
            program.check()
            row = self.conn.execute(query, [kind]).fetchone()
            return bool(row and row[0])

        if not _until(watching, timeout):
            raise TookTooLong(f"no watcher of kind {kind} started within {timeout:.0f} s (log: {program.log})")

    def _expect(self, step: str, path: str, expected: Expected, moment: datetime) -> None:
        """Wait for the alert on every channel, and record how many seconds after `moment` it arrived."""
        self.inbox.happened(expected, moment)
        sent_before = {sink: self._sent_by_listen(sink) for sink in SINKS}
        found: dict[str, dict[str, Any]] = {}

        def all_there() -> bool:
            self.airflow.program.check()
            for message in self.inbox.received():
                if message["id"] not in self._used and expected.is_met_by(message):
                    self._used.add(message["id"])
                    found[message["sink"]] = message
            return found.keys() >= SINKS.keys()

        _until(all_there, ALERT_TIMEOUT + max(0.0, (moment - datetime.now(UTC)).total_seconds()))
        for sink, channel in SINKS.items():
            message = found.get(sink)
            seconds = None if message is None else float(message["received"]) - moment.timestamp()
            arrived = "nothing" if message is None else title_of(message)
            taken = "-" if message is None else self._path_taken(sink, sent_before[sink])
            good = taken == path
            self.rows.append(Row(step, taken, channel, str(expected), arrived, seconds, good))
            self.screen.step(
                f"{channel + ':':6} {arrived}" + (f", {shown(seconds)} after" if seconds is not None else ""),
                "good" if good else "bad",
            )

    def _path_taken(self, sink: str, sent_before: int) -> str:
        """How it was delivered: `listen` logs each message right after it is accepted; otherwise it was the DAG."""
        if self.listen is not None and _until(lambda: self._sent_by_listen(sink) > sent_before, 1):
            return BY_LISTEN
        return BY_DAG

    def _sent_by_listen(self, sink: str) -> int:
        if self.listen is None:
            return 0
        channel = {"slack": SLACK, "email": EMAIL}[sink]
        return self.listen.log.read_text(errors="replace").count(f"channel {channel}: sent message")

    def _wait_until_evaluated(self, job_name: str) -> None:
        """Wait until a watcher has evaluated the newest run; at most three sweeps, since slowness is not a failure."""
        ended = sample.last_ended(self.conn, job_name)
        query = "SELECT checked_at > %s FROM airflow_jobmon.job_state WHERE job_name = %s"

        def evaluated() -> bool:
            row = self.conn.execute(query, [ended, job_name]).fetchone()
            return bool(row and row[0])

        _until(evaluated, 3 * SWEEP)

    def _last_id(self) -> int:
        return max((message["id"] for message in self.inbox.received()), default=0)


def shown(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def print_table(screen: Screen, rows: Sequence[Row]) -> None:
    header = ("step", "path", "channel", "expected", "arrived", "after")
    screen.table(header, [row.cells() for row in rows], good=[row.good for row in rows])


def _until(condition: Callable[[], bool], timeout: float) -> bool:
    """Check every 10 ms, which is finer than the measured times and cheap."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
