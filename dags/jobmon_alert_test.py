"""Proves that alerts arrive: trigger it by hand after each change to channels or connections, and each month.

`failure` logs a simulated failed run and follows it to every channel of the job; `missed` tells what would be told if
the job's next run did not come. Both say TEST ALERT, open no incident and leave nothing behind. The task's log shows
each step, what was expected and observed, and how long it took; its XCom holds them. It fails where an alert did not
arrive.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_jobmon.operators import AlertDrillOperator

with DAG(
    dag_id="jobmon_alert_test",
    description="Proves that alerts arrive, by one that says TEST ALERT",
    schedule=None,
    is_paused_upon_creation=False,
    params={
        "drill": Param(
            "failure",
            enum=["failure", "missed"],
            title="Drill",
            description="failure: a simulated failed run. missed: a run that does not come.",
        ),
        "job_name": Param(
            "update-installment-statuses",
            type="string",
            minLength=1,
            maxLength=500,
            pattern=r"\S",
            title="Job",
            description="The name that the job logs its runs under; any name for failure.",
        ),
    },
    tags=["jobmon"],
    doc_md=__doc__,
):
    AlertDrillOperator(task_id="drill", drill="{{ params.drill }}", job_name="{{ params.job_name }}")
