from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

import pytest

from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.postgres.monitoring_queries import bind_parameters, find_query, list_queries, plain_sql

NAMES = [query.name for query in list_queries()]


def test_every_query_that_the_procedures_name_exists():
    asked = ["Recent Executions", "Health Check", "Success Rate", "Failed Jobs", "Performance Metrics"]
    assert {find_query(title).name for title in [*asked, "Records Updated Trend"]} <= set(NAMES)


@pytest.mark.parametrize("query", list_queries(), ids=NAMES)
def test_each_query_explains_itself_and_can_be_narrowed_to_one_job(query):
    assert re.match(rf"{query.name.replace('_', ' ').title()}(?: \(.*\))?: \w.+\.$", query.meaning)
    assert "job_name = 'it''s'" in plain_sql(query, "it's")
    assert ":'" not in plain_sql(query, "it's") + plain_sql(query)
    assert query.statement.startswith("SELECT ")
    assert "--" not in query.statement
    assert bind_parameters(query.statement).count("%(job_name)s") == 2


@pytest.mark.parametrize("name", ["success_rate", "success-rate", "Success Rate", " success_rate "])
def test_a_query_is_found_by_its_name_as_people_write_it(name):
    assert find_query(name).name == "success_rate"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        pytest.param("sucess_rate", "did you mean 'success_rate'?", id="a slip"),
        pytest.param("qqq", "the queries are health_check, recent_executions", id="nothing near"),
    ],
)
def test_the_error_for_an_unknown_query_names_those_that_exist(name, says):
    with pytest.raises(ConfigurationError) as raised:
        find_query(name)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("statement", "bound"),
    [
        pytest.param("SELECT :'a', :'b_2'", "SELECT %(a)s, %(b_2)s", id="parameters"),
        pytest.param("SELECT ':''a'''", "SELECT ':''a'''", id="in quotes"),
        pytest.param("SELECT 'it''s', :'a'", "SELECT 'it''s', %(a)s", id="after a doubled quote"),
        pytest.param("""SELECT ":'a'" """, """SELECT ":'a'" """, id="in a name"),
        pytest.param("SELECT 1 -- it's :'a'\n, :'a'", "SELECT 1 -- it's :'a'\n, %(a)s", id="in a comment"),
        pytest.param("SELECT /* it's :'a' */ :'a'", "SELECT /* it's :'a' */ %(a)s", id="in a long comment"),
        pytest.param("SELECT now()::date, x::'a'", "SELECT now()::date, x::'a'", id="a cast"),
        pytest.param("SELECT 5 % 3, '%', :'a' -- 5 %", "SELECT 5 %% 3, '%%', %(a)s -- 5 %%", id="percent signs"),
    ],
)
def test_only_psqls_parameters_are_bound(statement, bound):
    assert bind_parameters(statement) == bound


@pytest.mark.parametrize("query", list_queries(), ids=NAMES)
def test_the_documentation_shows_each_query_ready_to_paste(query):
    text = (Path(__file__).parents[3] / "docs" / "queries.md").read_text()
    parts = dict(re.findall(r"^### `(\w+)`\n\n(.*?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(parts) == NAMES
    prose, _, sql = parts[query.name].partition("\n\n    ")
    assert " ".join(prose.split()) == query.meaning
    pasted = plain_sql(query, "nightly-invoices")
    assert f"    {sql.rstrip()}" == indent(f"{pasted};", "    ")
