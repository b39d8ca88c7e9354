"""Replicas of a Postgres server: a hot standby, and a table that a logical subscription fills."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import psycopg

from tests.support.postgres_server import FAST, Postgres


@contextmanager
def standby(primary: Postgres) -> Iterator[Postgres]:
    """A hot standby of a running cluster, made by pg_basebackup."""
    directory = Path(mkdtemp(prefix="jobmon-standby-"))
    copy = Postgres(directory, {**primary.settings, **FAST})
    try:
        directory.chmod(0o700)
        subprocess.run(
            [
                primary.program("pg_basebackup"),
                "-d",
                primary.conninfo(),
                "-D",
                copy.data,
                "-R",
                "-c",
                "fast",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        _same_owner(primary.data, directory)
        copy.start()
        yield copy
    finally:
        copy.stop()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def subscription(server: Postgres, publisher: str, subscriber: str, table: str) -> Iterator[psycopg.Connection]:
    """Database `subscriber` follows this table of `publisher`, both of one server; a connection to the subscriber.

    Within one server the slot must be there before the subscription, which would wait for itself.
    """
    with (
        psycopg.connect(server.conninfo(publisher), autocommit=True) as source,
        psycopg.connect(server.conninfo(subscriber), autocommit=True) as target,
    ):
        source.execute(f"CREATE PUBLICATION jobs FOR TABLE {table}")
        source.execute("SELECT pg_create_logical_replication_slot('jobs', 'pgoutput')")
        target.execute(
            f"CREATE SUBSCRIPTION jobs CONNECTION '{server.conninfo(publisher)}' PUBLICATION jobs "
            "WITH (create_slot = false, slot_name = 'jobs')"
        )
        try:
            yield target
        finally:
            target.execute("DROP SUBSCRIPTION jobs")  # and its slot with it


def _same_owner(model: Path, directory: Path) -> None:
    """The server may run as another user than we do, and must own its files."""
    owner = model.stat()
    if (owner.st_uid, owner.st_gid) == (os.getuid(), os.getgid()):
        return
    for path in (directory, *directory.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
