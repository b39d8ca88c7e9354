"""Assets that events outside Airflow update, so that these events can start DAGs.

Airflow identifies an asset watcher by the arguments of its trigger, so these depend on no setting.
"""

from __future__ import annotations

from urllib.parse import quote

from airflow.sdk import Asset, AssetWatcher

from airflow_jobmon.core.model.waits import check_job_name
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.triggers import DEFAULT_CONN_ID, JobAlertTrigger, JobRunTrigger

_LONGEST = 1500
"""Characters that Airflow can store of the name and the URI of an asset."""


def job_run_asset(job_name: str, *, conn_id: str = DEFAULT_CONN_ID) -> Asset:
    """The asset that each success of an outside job updates: `schedule=[job_run_asset("nightly-load")]`.

    `extra["payload"]` of its event is the run, with `job_name` and the number of `successes` that the event stands
    for. Airflow may lose an event or merge several: a DAG that must see every run waits with JobsLogSensor. Pass the
    same `conn_id` everywhere for the same job, or refer to the asset as `Asset.ref(name="jobmon:run:nightly-load")`.

    Raises ConfigurationError for a name that a log cannot hold or that is too long for Airflow's tables.
    """
    check_job_name(job_name)
    name = f"jobmon:run:{job_name}"
    uri = "x-jobmon://run/" + quote(job_name, safe="")
    if len(uri) > _LONGEST:
        raise ConfigurationError(
            f"job_name {job_name[:60]!r}... makes an asset URI of {len(uri)} characters, Airflow stores {_LONGEST}; "
            "wait for this job with JobsLogSensor instead"
        )
    watcher = AssetWatcher(name=name, trigger=JobRunTrigger(job_name=job_name, conn_id=conn_id))
    return Asset(name=name, uri=uri, group="jobmon", watchers=[watcher])


jobmon_alerts_asset = Asset(
    name="jobmon_alerts",
    uri="x-jobmon://alerts",
    group="jobmon",
    watchers=[AssetWatcher(name="jobmon_alerts", trigger=JobAlertTrigger())],
)
"""Updated whenever alerts are due: `schedule=[jobmon_alerts_asset]` wakes the DAG that delivers them."""
