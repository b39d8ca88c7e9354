"""The life cycle of incidents under everything at once: runs in any order, silences, acknowledgements, and a bad clock.

The alerts are checked against laws that know nothing of states: who was notified of what, and when, by a true clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.alerts import AlertEvent
from airflow_jobmon.core.model.evaluation import Evaluation, EvaluationContext, IncidentChange, JobInputs
from airflow_jobmon.core.model.health import ALERTING, Health, JobFacts
from airflow_jobmon.core.model.incidents import Action, IncidentState, OpenIncident, fingerprint
from airflow_jobmon.core.model.runs import FAILED, RUNNING, SUCCESS, Run
from airflow_jobmon.core.model.silences import Silence
from airflow_jobmon.core.rules.assess import assess
from airflow_jobmon.core.rules.incident_changes import RECENT, evaluate_incidents

START = datetime(2025, 11, 13, 12, tzinfo=UTC)
INTERVAL = timedelta(hours=4)
ERRORS = st.sampled_from(["disk full", "no route to host 10.0.0.7", "no route to host 10.0.0.8", None])
MINUTES = st.sampled_from([1, 70, 5 * 60, 5 * 60, 26 * 60])
THEN = st.sampled_from(["nothing", "a sweep", "an evaluation of events", "an evaluation of events"])


@dataclass
class Known:
    """What the laws remember of one incident."""

    alerts: list[AlertEvent] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    by_clock: datetime | None = None  # when it last alerted, by the clock of the evaluation
    since: datetime | None = None  # from when its silence counts, truly
    owed: bool = False  # evaluated in a silence that held an alert back
    acknowledged: bool = False
    newsworthy: bool = False
    error: str | None = None


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.true = START
        self.skew = timedelta(0)
        self.set_back = False
        self.runs: list[Run] = []
        self.events: list[Run] = []
        self.counted: set[str] = set()
        self.open: dict[str, OpenIncident] = {}
        self.known: dict[int, Known] = {}
        self.silence: Silence | None = None
        self.ids = 0

    @property
    def clock(self) -> datetime:
        return self.true + self.skew

    @initialize(
        failures_to_alert=st.sampled_from([1, 1, 2]),
        history=st.sampled_from([[], [FAILED], [SUCCESS, FAILED], [FAILED, SUCCESS]]),
    )
    def install(self, failures_to_alert: int, history: list[str]) -> None:
        self.job = MonitoredJob(name="load", failures_to_alert=failures_to_alert, max_duration="3m")
        for status in history:
            self.log(status, None, note=False)
            self.true += timedelta(hours=1)
        self.installed_at = self.true
        self.found = max((run.started_at for run in self.runs), default=None)
        self.true += timedelta(seconds=1)

    def log(self, status: str, error: str | None, *, note: bool = True, minutes: float = 1) -> None:
        self.true += timedelta(minutes=minutes)
        run = Run(str(len(self.runs)), "load", self.true - timedelta(minutes=minutes), self.true, status, None, error)
        self.runs.append(run)
        if note and status == FAILED:
            self.events.append(run)

    # What happens to the job.

    @rule(error=ERRORS, note=st.sampled_from([True, True, False]), then=THEN)
    def a_run_fails(self, error: str | None, note: bool, then: str) -> None:
        self.log(FAILED, error, note=note)
        self.then(then)

    @rule(minutes=st.sampled_from([1, 1, 5]), then=THEN)
    def a_run_succeeds(self, minutes: int, then: str) -> None:
        self.log(SUCCESS, None, minutes=minutes)
        self.then(then)

    @rule(then=THEN)
    def a_run_starts(self, then: str) -> None:
        self.true += timedelta(seconds=1)
        self.runs.append(Run(str(len(self.runs)), "load", self.true, None, RUNNING))
        self.then(then)

    @precondition(lambda self: any(run.status == RUNNING for run in self.runs))
    @rule(status=st.sampled_from([SUCCESS, FAILED]), error=ERRORS, then=THEN)
    def a_run_ends(self, status: str, error: str | None, then: str) -> None:
        self.true += timedelta(seconds=1)
        place = next(place for place, run in enumerate(self.runs) if run.status == RUNNING)
        ended = replace(self.runs[place], status=status, completed_at=self.true, error_message=error)
        self.runs[place] = ended
        if status == FAILED:
            self.events.append(ended)
        self.then(then)

    @precondition(lambda self: self.runs)
    @rule(then=THEN)
    def the_newest_run_is_deleted(self, then: str) -> None:
        gone = self.runs.pop()
        self.events = [run for run in self.events if run.id != gone.id]
        self.then(then)

    # What people and clocks do.

    @rule(minutes=MINUTES, then=THEN)
    def time_passes(self, minutes: int, then: str) -> None:
        self.true += timedelta(minutes=minutes)
        self.then(then)

    @rule(minutes=MINUTES, then=THEN)
    def the_clock_is_set_back(self, minutes: int, then: str) -> None:
        self.skew -= timedelta(minutes=minutes)
        self.set_back = True
        self.then(then)

    @rule(then=THEN)
    def the_clock_is_set_right(self, then: str) -> None:
        self.skew = timedelta(0)
        self.then(then)

    @rule(minutes=MINUTES, then=THEN)
    def a_user_silences(self, minutes: int, then: str) -> None:
        self.silence = Silence("load", self.clock + timedelta(minutes=minutes), "upgrade", "anna")
        self.then(then)

    @precondition(lambda self: self.silence)
    @rule(then=THEN)
    def the_silence_is_lifted(self, then: str) -> None:
        self.silence = None
        self.then(then)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), then=THEN)
    def a_user_acknowledges(self, data: st.DataObject, then: str) -> None:
        kind = data.draw(st.sampled_from(sorted(self.open)))
        incident = self.open[kind]
        if incident.acknowledged_at is not None:
            return
        known = self.known[incident.id]
        now_known = {fingerprint(known.error)}
        known.acknowledged, known.owed = True, False
        known.texts |= now_known
        self.open[kind] = replace(incident, acknowledged_at=self.clock, error_texts=incident.error_texts | now_known)
        if incident.silenced_at is not None:  # one clock writes both, and never the earlier moment later
            self.open[kind] = replace(self.open[kind], acknowledged_at=max(self.clock, incident.silenced_at))
        self.then(then)

    # What an evaluation does.

    def then(self, what: str) -> None:
        if what != "nothing":
            self.evaluate(claim=what == "an evaluation of events")

    def evaluate(self, *, claim: bool) -> None:
        events, now = (self.events if claim else []), self.clock
        silence = self.silence if self.silence and now < self.silence.ends_at else None
        facts = self.facts()
        failures = {run.id: run for run in events}
        if facts.last_finished is not None and facts.last_finished.status == FAILED:
            failures.setdefault(facts.last_finished.id, facts.last_finished)
        new = [run for run in failures.values() if run.id not in self.counted]
        health = assess(facts, self.job, now=now)
        context = EvaluationContext(now, self.installed_at, INTERVAL, None, silence, self.found)
        inputs = JobInputs(self.job, facts, health, self.open, new, has_event=bool(events))
        evaluation = evaluate_incidents(inputs, context)
        self.counted |= {run.id for run in new}
        if claim:
            self.events = []
        self.restart_waiting()
        self.check_the_laws(evaluation, bool(events))
        self.set_back = False

    def facts(self) -> JobFacts:
        finished = [run for run in self.runs if run.status != RUNNING]
        last = max(finished, key=order, default=None)
        success = max((run for run in finished if run.status == SUCCESS), key=order, default=None)
        streak = [
            run
            for run in finished
            if last is not None
            and last.status == FAILED == run.status
            and (success is None or order(run) > order(success))
            and end(run) <= end(last)
        ]
        return JobFacts(
            "load",
            START - timedelta(days=30),
            newest=max(self.runs, key=lambda run: run.started_at, default=None),
            last_finished=last,
            last_success=success,
            failed_in_a_row=len(streak),
            failing_since=min((end(run) for run in streak), default=None),
        )

    def restart_waiting(self) -> None:
        """A clock that is set back may delay a repetition once; once it is right again, one may come early."""
        for known in self.known.values():
            if known.by_clock is not None:
                known.by_clock = min(known.by_clock, self.clock)
                known.since = self.true if self.set_back else known.since

    def check_the_laws(self, evaluation: Evaluation, has_event: bool) -> None:
        found = {finding.kind.value: finding for finding in evaluation.health.findings if finding.kind in ALERTING}
        silent = self.silence is not None and self.clock < self.silence.ends_at
        for change in evaluation.changes:
            before = self.open.get(change.kind)
            known = self.known_of(change)
            self.update_newsworthy(change, known, has_event)
            if change.alert is not None:
                assert (change.silence is not None) == silent, "sent in a silence, or held back without one"
            if change.notifies:
                self.must_have_a_reason(change, known)
                self.remember(change, known)
            elif silent and before is not None and change.finding is not None:
                critical = change.finding.alerts and change.finding.severity is Health.CRITICAL
                new_error = any(fingerprint(run.error_message) not in known.texts for run in change.failures)
                known.owed |= critical and bool(known.alerts) and (new_error or not known.acknowledged)
            if change.failures or change.alert is not None:
                known.error = change.failures[-1].error_message if change.failures else change.alert.error
            self.store(change)
        assert {kind for kind, finding in found.items() if finding.alerts} <= self.open.keys() <= found.keys()
        for kind, incident in self.open.items():
            known = self.known[incident.id]
            if not silent and found[kind].alerts:
                self.must_not_be_silent(found[kind].severity, known)

    def known_of(self, change: IncidentChange) -> Known:
        if change.action is Action.OPEN:
            self.ids += 1
            return self.known.setdefault(self.ids, Known())
        assert change.incident is not None
        return self.known[change.incident.id]

    def update_newsworthy(self, change: IncidentChange, known: Known, has_event: bool) -> None:
        """Whether it happened since we watch; what was wrong before, or was loaded, is none until then."""
        if change.action is Action.OPEN and change.resolved_at is not None:
            known.newsworthy = any(end(run) > self.installed_at for run in change.failures)
        if change.finding is None:
            return
        at = change.finding.evidence_at
        fresh = at > self.installed_at
        if change.kind == "failed":
            happened = change.action is Action.OPEN or bool(change.failures) or has_event
            fresh = happened and (has_event or (fresh and self.clock - at <= RECENT))
        known.newsworthy |= fresh and change.finding.alerts

    def must_have_a_reason(self, change: IncidentChange, known: Known) -> None:
        """No alert without a reason."""
        event = change.alert.event
        if event is AlertEvent.OPENED:
            assert not known.alerts, "opened twice"
            assert known.newsworthy, "alerted for a pre-existing finding"
            return
        assert known.alerts, f"{event} without opened"
        if event is AlertEvent.RESOLVED:
            assert AlertEvent.RESOLVED not in known.alerts
            return
        assert change.finding.severity is Health.CRITICAL, "a warning was repeated"
        new_error = any(fingerprint(run.error_message) not in known.texts for run in change.failures)
        due = self.clock - known.by_clock >= INTERVAL and not known.acknowledged
        assert new_error or due or known.owed, "repeated without a reason"

    def must_not_be_silent(self, severity: Health, known: Known) -> None:
        assert not known.owed, "a silence is over, and no one was notified"
        if known.acknowledged or not known.newsworthy:
            return
        assert known.alerts, "never alerted"
        if severity is Health.CRITICAL:
            assert self.true - known.since < INTERVAL, "silent about an open critical incident past its interval"

    def remember(self, change: IncidentChange, known: Known) -> None:
        known.alerts.append(change.alert.event)
        known.by_clock, known.since, known.owed = self.clock, self.true, False
        if change.kind == "failed":
            known.texts |= {fingerprint(run.error_message) for run in change.failures}
            known.texts.add(fingerprint(change.alert.error))

    def store(self, change: IncidentChange) -> None:
        """As the tables would have it."""
        now, incident = self.clock, change.incident
        texts: set[str] = set()
        if change.notifies and change.kind == "failed":
            texts = {fingerprint(error) for error in [change.alert.error, *(r.error_message for r in change.failures)]}
        if change.action is Action.RESOLVE:
            del self.open[change.kind]
        elif change.action is Action.OPEN and change.resolved_at is None:
            assert change.kind not in self.open, "two open incidents of one kind"
            self.open[change.kind] = OpenIncident(
                self.ids,
                change.kind,
                change.finding.severity,
                change.opened_at,
                now,
                now if change.notifies else None,
                max(len(change.failures), 1),
                frozenset(texts),
                now if change.next_state is IncidentState.SILENCED else None,
            )
        elif change.action is Action.UPDATE:
            notified_at = incident.notified_at
            if change.notifies or (notified_at and notified_at > now):
                notified_at = now
            silenced_at = incident.silenced_at
            if change.notifies:
                silenced_at = None
            elif change.next_state is IncidentState.SILENCED is not incident.state:
                silenced_at = (
                    max(now, incident.acknowledged_at + timedelta(microseconds=1)) if incident.acknowledged_at else now
                )
            self.open[change.kind] = replace(
                incident, notified_at=notified_at, silenced_at=silenced_at, error_texts=incident.error_texts | texts
            )
            assert self.open[change.kind].state is change.next_state

    @invariant()
    def no_resolved_without_an_opened_before(self) -> None:
        for known in self.known.values():
            assert known.alerts[:1] in ([], [AlertEvent.OPENED])
            assert AlertEvent.RESOLVED not in known.alerts[:-1]


def order(run: Run) -> tuple[datetime, datetime]:
    return run.started_at, end(run)


def end(run: Run) -> datetime:
    return run.completed_at or run.started_at


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase
