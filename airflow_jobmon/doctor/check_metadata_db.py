"""The check of Airflow's metadata database, and read access to it for other checks, through Airflow's own ORM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_jobmon.doctor.installation import CheckedInstallation
from airflow_jobmon.doctor.result import CheckResult, error_text, not_checked, ok

RUN_ELSEWHERE = "to check this too, run the doctor where the scheduler or the API server runs"

_UNCONFIGURED = "Airflow has not configured its metadata database; see [database] sql_alchemy_conn"


def load_models() -> None:
    """Import Airflow's models and configure their mappers, before the threads start.

    Both threads use the models, since a connection may be stored in the metadata database. Two threads that import them
    at the same time can deadlock: one holds Python's import lock, the other SQLAlchemy's mapper lock.
    """
    from airflow.models import import_all_models  # noqa: PLC0415 - a second of imports
    from sqlalchemy.orm import configure_mappers  # noqa: PLC0415

    import_all_models()
    configure_mappers()


def metadata(installation: CheckedInstallation) -> Iterator[CheckResult]:
    """Whether a migrated metadata database is in reach; without it, the other checks of Airflow are skipped."""
    from airflow.models.asset import AssetModel  # noqa: PLC0415 - a second of imports
    from airflow.models.dag import DagModel  # noqa: PLC0415
    from airflow.models.trigger import Trigger  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415
    from sqlalchemy.exc import OperationalError, ProgrammingError, SQLAlchemyError  # noqa: PLC0415

    if missing := _missing_file():
        yield not_checked(f"there is no metadata database at {missing}", RUN_ELSEWHERE)
        return
    try:
        # Not a session: Airflow closes all sessions when the process exits, and fails if one of them hangs.
        with _engine().connect() as connection:
            for column in (AssetModel.id, DagModel.dag_id, Trigger.id):
                connection.execute(select(column).limit(1)).first()
    except (OperationalError, ProgrammingError) as error:
        if "no such table" in str(error) or "does not exist" in str(error):
            yield not_checked("Airflow's metadata database is not migrated", RUN_ELSEWHERE)
        else:
            yield not_checked(f"Airflow's metadata database is out of reach ({_driver_error(error)})", RUN_ELSEWHERE)
        return
    except SQLAlchemyError as error:
        yield not_checked(f"Airflow's metadata database cannot be used ({_driver_error(error)})", RUN_ELSEWHERE)
        return
    installation.metadata = True
    yield ok("in reach")


def read_session() -> Any:
    """A session for reading; a context manager."""
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
    """The path of a SQLite database that does not exist; opening it would create an empty database."""
    engine = _engine()
    if engine.dialect.name != "sqlite":
        return None
    path = engine.url.database
    return path if path and path != ":memory:" and not Path(path).exists() else None


def _driver_error(error: Exception) -> str:
    """The driver's message; SQLAlchemy's adds the statement and a link."""
    return error_text(getattr(error, "orig", None) or error)
