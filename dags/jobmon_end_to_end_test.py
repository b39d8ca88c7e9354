"""Tests the real job from end to end: creates an overdue installment, runs the job, and checks the result.

Trigger it manually. The form asks for an HTTP connection that calls the job, as an edge function is called; its extras
are sent as headers, so put a key there: {"Authorization": "Bearer ..."}. If the field is empty, the job is called by
SQL. The run is a real one. The test data is always removed at the end.

Adapt the statements below to your own tables.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, setup, task, teardown
from airflow.sdk.exceptions import AirflowFailException

from airflow_jobmon.sensors import JobsLogSensor

JOB = "update-installment-statuses"
DATABASE = "jobmon_default"
ENDPOINT = "functions/v1/update-installment-statuses"
CALL = "CALL public.update_installment_statuses()"
MAKE = """
WITH agency AS (INSERT INTO agencies (name, time_zone) VALUES (%(name)s, 'UTC') RETURNING id),
plan AS (INSERT INTO payment_plans (agency_id, student) SELECT id, 'test student' FROM agency RETURNING id)
INSERT INTO installments (payment_plan_id, amount, student_due_date, status)
SELECT id, 100.00, CURRENT_DATE - 2, 'pending' FROM plan RETURNING id
"""
CHECK = "SELECT status FROM installments WHERE id = %(installment)s"
REMOVE = """
WITH agency AS (SELECT id FROM agencies WHERE name = %(name)s),
plan AS (SELECT id FROM payment_plans WHERE agency_id IN (SELECT id FROM agency)),
no_installments AS (DELETE FROM installments WHERE payment_plan_id IN (SELECT id FROM plan)),
no_plans AS (DELETE FROM payment_plans WHERE id IN (SELECT id FROM plan))
DELETE FROM agencies WHERE id IN (SELECT id FROM agency)
"""


def database() -> Any:
    from airflow.providers.postgres.hooks.postgres import PostgresHook  # noqa: PLC0415 - not when this file is parsed

    return PostgresHook(DATABASE)


with DAG(
    dag_id="jobmon_end_to_end_test",
    description="Tests the real job on test data",
    schedule=None,
    is_paused_upon_creation=False,
    max_active_runs=1,
    params={
        "http_conn_id": Param(
            "",
            type="string",
            pattern=r"^[\w.-]*$",
            maxLength=200,
            title="HTTP connection",
            description="Connection (type http) that calls the job. Empty: call it by SQL, in the job log's database.",
        )
    },
    tags=["jobmon"],
    doc_md=__doc__,
):

    @setup
    def make_test_data(run_id: str | None = None) -> int:
        return int(database().get_first(MAKE, parameters={"name": f"test {run_id}"})[0])

    @task
    def call_job(params: dict[str, Any] | None = None) -> str:
        """Returns the time before the call, by the database's clock: the run to wait for starts after it."""
        before: str = database().get_first("SELECT clock_timestamp()")[0].isoformat()
        if conn_id := (params or {}).get("http_conn_id"):
            from airflow.providers.http.hooks.http import HttpHook  # noqa: PLC0415

            HttpHook("POST", http_conn_id=conn_id).run(ENDPOINT, extra_options={"timeout": 600})
        else:
            database().run(CALL, autocommit=True)
        return before

    @task
    def check_result(installment: int) -> str:
        status: str = database().get_first(CHECK, parameters={"installment": installment})[0]
        if status != "overdue":
            raise AirflowFailException(f"installment {installment} is {status!r}; it should be 'overdue'")
        return status

    @teardown
    def remove_test_data(run_id: str | None = None) -> None:
        database().run(REMOVE, parameters={"name": f"test {run_id}"})

    made, called = make_test_data(), call_job()
    ran = JobsLogSensor(
        task_id="wait_for_run", job_name=JOB, since="{{ ti.xcom_pull('call_job') }}", min_records=1, timeout=600
    )
    made >> called >> ran >> check_result(made) >> remove_test_data().as_teardown(setups=made)
