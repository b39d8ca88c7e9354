"""Fixtures that any test may ask for: a real Postgres and databases of its own in it. And the order of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import psycopg
import pytest
from psycopg import sql

from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from tests.support.distribution import Distribution, rank
from tests.support.postgres_server import Postgres, temporary_postgres

_numbers = count(1)


@pytest.hookimpl(trylast=True)  # after pytest has grouped the tests by their fixtures
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Distribution:
    config.option.loadscopereorder = False  # keep the order of collection
    return Distribution(config, log)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One cluster a test process (under xdist, one a worker: starting it takes less than a second)."""
    with temporary_postgres(
        max_connections="100", max_prepared_transactions="20", shared_buffers="32MB", track_functions="all"
    ) as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """Name of a migrated database with an empty public.jobs_log; cloned, never used."""
    _create(postgres, "jobmon_template")
    with connect(postgres.conninfo("jobmon_template")) as conn:
        migrate(conn, Settings(), create_jobs_log=True)
    return "jobmon_template"


@pytest.fixture
def empty_database(postgres: Postgres) -> Iterator[str]:
    """Conninfo of a fresh database with nothing in it."""
    name = f"empty_{next(_numbers)}"
    _create(postgres, name)
    yield postgres.conninfo(name)
    _drop(postgres, name)


@pytest.fixture
def database(postgres: Postgres, template: str) -> Iterator[str]:
    """Conninfo of a migrated database with an empty public.jobs_log."""
    name = f"jobmon_{next(_numbers)}"
    _create(postgres, name, template)
    yield postgres.conninfo(name)
    _drop(postgres, name)


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection]:
    """An open autocommit connection to `database`."""
    with connect(database) as connection:
        yield connection


def _create(server: Postgres, name: str, template: str = "template0") -> None:
    with psycopg.connect(server.conninfo(), autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )


def _drop(server: Postgres, name: str) -> None:
    """By force: what a test left connected is its own loss."""
    with psycopg.connect(server.conninfo(), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
