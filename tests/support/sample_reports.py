"""Reports of ordinary jobs, and of jobs with hostile names and errors."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.model.report import Report, Section, Table
from tests.support.hostile_alerts import links, long_texts, moments, texts


class _Table(Table):
    """Shown by its size: hypothesis refuses to print a report of many rows."""

    def __repr__(self) -> str:
        return f"Table({len(self.rows)} rows, {self.rows[:1]!r})"


def _table(rows: list[tuple[str, str]], copies: int, leads: list[str | None]) -> Table:
    return _Table(("job", "was"), rows * copies, frozenset({1}), leads * copies)


tables = st.builds(
    _table,
    st.lists(st.tuples(texts, texts), max_size=2),
    st.sampled_from([1, 2, 30]),
    st.lists(links, max_size=3),
)
sections = st.builds(Section, heading=texts, lines=st.lists(texts, max_size=4), table=st.one_of(st.none(), tables))
reports = st.builds(
    Report,
    kind=st.sampled_from(["daily", "weekly", "audit", "drill"]),
    title=texts,
    severity=st.sampled_from(list(Health)),
    at=moments,
    summary=long_texts,
    sections=st.lists(sections, max_size=2),
    links=st.lists(st.tuples(texts, texts.map("https://x.example/".__add__)), max_size=6),
)


def a_report(*, jobs: int = 3, title: str = "Morning check: 1 of 3 jobs needs a person") -> Report:
    """One section of lines and one of a row per job."""
    rows = [(f"job-{number}", f"{100 - number}.0 %", "▁▂▃▅▇") for number in range(jobs)]
    return Report(
        kind="daily",
        title=title,
        severity=Health.CRITICAL,
        at=datetime(2026, 3, 29, 6, tzinfo=UTC),
        summary="One job failed in the last 24 hours, all others are well.",
        sections=(
            Section("Failed", ("job-0: Connection timeout after 3 retries",)),
            Section("All jobs", table=Table(("job", "success", "trend"), rows, frozenset({1}))),
        ),
        links=(("Open the page", "https://airflow.example.com/jobmon/"),),
    )
