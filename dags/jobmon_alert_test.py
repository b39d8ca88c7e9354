"""Verifies that alerts arrive. Trigger it after each change to channels or connections, and once a month.

`failure` logs a simulated failed run and follows its alert to every channel of the job; `missed` sends the alert that
would be sent if the job's next run did not start. Both say TEST ALERT, open no incident and leave nothing behind. The
task's log and XCom show each step: what was expected, what was observed, and how long it took. The task fails if an
alert does not arrive.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_jobmon.operators import AlertDrillOperator

with DAG(
    dag_id="jobmon_alert_test",
    description="Verifies that alerts arrive, with a TEST ALERT",
    schedule=None,
    is_paused_upon_creation=False,
    params={
        "drill": Param(
            "failure",
            enum=["failure", "missed"],
            title="Drill",
            description="failure: a simulated failed run. missed: a run that does not start.",
        ),
        "job_name": Param(
            "update-installment-statuses",
            type="string",
            minLength=1,
            maxLength=500,
            pattern=r"\S",
            title="Job",
            description="The job's name in the log; for failure, any name.",
        ),
    },
    tags=["jobmon"],
    doc_md=__doc__,
):
    AlertDrillOperator(task_id="drill", drill="{{ params.drill }}", job_name="{{ params.job_name }}")
