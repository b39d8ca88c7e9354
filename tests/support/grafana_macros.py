"""Expands a panel's SQL as Grafana does before it sends it to Postgres.

First its page puts the variables in, then its server takes for a macro whatever looks like one, wherever it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

DIRECTORY = Path(__file__).parents[2] / "grafana"
DASHBOARD: dict[str, Any] = json.loads((DIRECTORY / "dashboards" / "jobmon.json").read_text())
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}

_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)")
_MACRO = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")
_FIELD = re.compile(r"\$\{__data\.fields\.(\w+):percentencode\}")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class View:
    """What a person has chosen above the panels; `jobs=None` is All."""

    jobs: Sequence[str] | None = None
    end: datetime | None = None
    days: float = 30
    interval: str = "1h"

    @property
    def until(self) -> datetime:
        return self.end or datetime.now(UTC)

    @property
    def since(self) -> datetime:
        return self.until - timedelta(days=self.days)


def sql_of(panel: dict[str, Any]) -> str:
    (target,) = panel["targets"]
    return str(target["rawSql"])


def link_of(panel: dict[str, Any], column: str, row: dict[str, Any]) -> str:
    """Where the one link in a row's cell leads, with the variables put in that its own text names."""
    (links,) = [
        prop["value"]
        for override in panel["fieldConfig"]["overrides"]
        for prop in override["properties"]
        if override["matcher"] == {"id": "byName", "options": column} and prop["id"] == "links"
    ]
    url = _FIELD.sub(lambda found: quote(str(row[found[1]]), safe=""), links[0]["url"])
    for name, value in (("datasource:queryparam", "var-datasource=jobmon"), ("__url_time_range", "from=now-7d&to=now")):
        url = url.replace(f"${{{name}}}", value)
    return url


def expand(sql: str, view: View) -> str:
    return _expand_macros(_put_variables(sql, view), view)


def _put_variables(sql: str, view: View) -> str:
    def value(found: re.Match[str]) -> str:
        name, how = found[1] or found[3], found[2]
        if name == "__interval":
            return view.interval
        if name == "job":
            assert how == "sqlstring", "a name that comes from the job log has to be quoted"
            if view.jobs is None:
                return str(VARIABLES["job"]["allValue"])  # put in as it is
            return ",".join("'" + job.replace("'", "''") + "'" for job in view.jobs)
        return found[0]  # a macro's name, or nothing Grafana knows

    return _VARIABLE.sub(value, sql)


def _expand_macros(sql: str, view: View) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] not in _MACROS:
            raise ValueError(f"unknown macro {found[1]}")
        text = _MACROS[found[1]](view, *(argument.strip(" ") for argument in found[2].split(",")))
        # A comma right after it: Grafana takes it for a column of old, and names it.
        if found[1] == "__timeGroup" and sql[found.end() : found.end() + 1] == ",":
            text += ' AS "time"'
        return text

    return _MACRO.sub(value, sql)


def _literal(moment: datetime) -> str:
    """As RFC 3339 with nanoseconds has it."""
    return "'" + moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z'"


def _seconds(interval: str) -> int:
    return int(interval.strip("'")[:-1]) * _UNITS[interval.strip("'")[-1]]


def _group(view: View, column: str, interval: str) -> str:
    step = _seconds(interval)
    return f"floor(extract(epoch from {column})/{step})*{step}"


_MACROS: dict[str, Callable[..., str]] = {
    "__timeFilter": lambda view, column: f"{column} BETWEEN {_literal(view.since)} AND {_literal(view.until)}",
    "__timeFrom": lambda view, _="": _literal(view.since),
    "__timeTo": lambda view, _="": _literal(view.until),
    "__timeGroup": _group,
    "__timeGroupAlias": lambda view, column, interval: f'{_group(view, column, interval)} AS "time"',
}


def every_query() -> Iterator[tuple[str, str]]:
    """Title or name, and SQL, of each panel and each variable that asks the database."""
    for title, panel in PANELS.items():
        yield title, sql_of(panel)
    for name, variable in VARIABLES.items():
        if variable["type"] == "query":
            yield f"variable {name}", variable["query"]
            yield f"all of variable {name}", variable["allValue"]
