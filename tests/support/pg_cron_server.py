"""A Postgres server with pg_cron: Debian's, since the wheel of the other tests has no pg_cron."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres_programs import BIN_VARIABLE
from tests.support.postgres_server import Postgres, temporary_postgres


@contextmanager
def postgres_with_cron() -> Iterator[Postgres]:
    """Its database `postgres` has the extension. Fails, loudly, where the package is not installed."""
    found = sorted(Path("/usr/share/postgresql").glob("*/extension/pg_cron.control"))
    if not found:
        pytest.fail("pg_cron is not installed; run: make extras (or apt-get install postgresql-15-cron)")
    version = found[-1].parts[-3]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BIN_VARIABLE, f"/usr/lib/postgresql/{version}/bin")
        with temporary_postgres(shared_preload_libraries="pg_cron", **{"cron.database_name": "postgres"}) as server:
            with psycopg.connect(server.conninfo(), autocommit=True) as admin:
                admin.execute("CREATE EXTENSION pg_cron")
            yield server
