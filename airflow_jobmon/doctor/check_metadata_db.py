"""Airflow's metadata database, where there is one in reach: read only, by Airflow's own ORM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_jobmon.doctor.installation import Patient
from airflow_jobmon.doctor.result import Diagnosis, not_checked, ok, reason

ELSEWHERE = "run the doctor where the scheduler or the API server runs, to have this checked too"

_UNCONFIGURED = "Airflow has not configured its metadata database; see [database] sql_alchemy_conn"


def load_models() -> None:
    """Import Airflow's models and tie them together, before any thread needs them.

    A connection may be stored in the metadata database, so both rounds use the models: two threads that import them
    at once wait for each other's locks, Python's on the import and SQLAlchemy's on the mappers.
    """
    from airflow.models import import_all_models  # noqa: PLC0415 - a second of imports
    from sqlalchemy.orm import configure_mappers  # noqa: PLC0415

    import_all_models()
    configure_mappers()


def metadata(patient: Patient) -> Iterator[Diagnosis]:
    """Whether there is a migrated one; without it, what is true of Airflow cannot be told from here."""
    from airflow.models.asset import AssetModel  # noqa: PLC0415 - a second of imports
    from airflow.models.dag import DagModel  # noqa: PLC0415
    from airflow.models.trigger import Trigger  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415
    from sqlalchemy.exc import OperationalError, ProgrammingError, SQLAlchemyError  # noqa: PLC0415

    if missing := _missing_file():
        yield not_checked(f"there is no metadata database at {missing}", ELSEWHERE)
        return
    try:
        # Not in a session: Airflow closes all of those when the process ends, and fails over one that hangs.
        with _engine().connect() as connection:
            for column in (AssetModel.id, DagModel.dag_id, Trigger.id):
                connection.execute(select(column).limit(1)).first()
    except (OperationalError, ProgrammingError) as error:
        if "no such table" in str(error) or "does not exist" in str(error):
            yield not_checked("Airflow's metadata database is not migrated", ELSEWHERE)
        else:
            yield not_checked(f"Airflow's metadata database is out of reach ({_words(error)})", ELSEWHERE)
        return
    except SQLAlchemyError as error:
        yield not_checked(f"Airflow's metadata database cannot be used ({_words(error)})", ELSEWHERE)
        return
    patient.metadata = True
    yield ok("in reach")


def read() -> Any:
    """A session that nothing is written in; a context manager."""
    from airflow.settings import Session  # noqa: PLC0415

    if Session is None:
        raise LookupError(_UNCONFIGURED)
    return Session()


def _engine() -> Any:
    from airflow.settings import engine  # noqa: PLC0415

    if engine is None:
        raise LookupError(_UNCONFIGURED)
    return engine


def _missing_file() -> str | None:
    """SQLite would make an empty database out of a wrong path."""
    engine = _engine()
    if engine.dialect.name != "sqlite":
        return None
    path = engine.url.database
    return path if path and path != ":memory:" and not Path(path).exists() else None


def _words(error: Exception) -> str:
    """The driver's own words; SQLAlchemy's add the statement and a link."""
    return reason(getattr(error, "orig", None) or error)
