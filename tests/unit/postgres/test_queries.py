"""Every file of named queries can be loaded, and says each name once."""

from __future__ import annotations

import pytest

from airflow_jobmon.postgres.queries import load_queries, sql_directory

_SUBJECTS = sorted(path.name.removesuffix(".sql") for path in (sql_directory() / "queries").iterdir())


@pytest.mark.parametrize(("folder", "subject"), [*(("queries", subject) for subject in _SUBJECTS), ("psql", "queries")])
def test_a_file_of_queries_is_read_by_name(folder, subject):
    queries = load_queries(subject, folder=folder)
    assert queries
    assert all(query and not query.endswith(";") for query in queries.values())


def test_queries_are_read_once():
    assert load_queries("migrate") is load_queries("migrate")


def test_a_missing_file_is_an_error():
    with pytest.raises(FileNotFoundError):
        load_queries("nowhere")


def test_queries_share_a_fragment():
    fragment = (sql_directory() / "fragments" / "newest_runs.sql").read_text(encoding="utf-8").strip()
    sharing = [load_queries("facts")["facts"], load_queries("facts")["facts_at"], load_queries("sweep")["changed_jobs"]]
    assert all(fragment in query and "-- include:" not in query for query in sharing)
