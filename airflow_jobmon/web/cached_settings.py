"""The API server's settings, read again every 30 seconds, so that requests do not wait for them."""

from __future__ import annotations

import time
from functools import lru_cache

from airflow_jobmon import settings as configuration
from airflow_jobmon.runtime.connections import conninfo
from airflow_jobmon.settings import Settings

_SECONDS = 30


def current_settings() -> Settings:
    """Raises ConfigurationError for an invalid option."""
    return _settings(int(time.monotonic() // _SECONDS))


def current_conninfo() -> str:
    """The conninfo of the job log; raises ConnectionProblem if its connection is missing or unusable."""
    return _conninfo(current_settings().conn_id, int(time.monotonic() // _SECONDS))


def forget() -> None:
    """Read everything again at the next request."""
    _settings.cache_clear()
    _conninfo.cache_clear()


@lru_cache(maxsize=1)
def _settings(_period: int) -> Settings:
    return configuration.load()


@lru_cache(maxsize=1)
def _conninfo(conn_id: str, _period: int) -> str:
    return conninfo(conn_id)
