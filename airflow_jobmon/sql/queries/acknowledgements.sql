-- Acknowledgements of open incidents.

-- name: lock_states
-- States before incidents, in order of name: in this order an evaluation locks them too, so the two never deadlock.
SELECT FROM airflow_jobmon.job_state
WHERE job_name IN (
    SELECT job_name FROM airflow_jobmon.incidents
    WHERE resolved_at IS NULL
        AND (%(id)s::bigint IS NULL OR id = %(id)s)
        AND (%(like)s::text IS NULL OR job_name LIKE %(like)s))
ORDER BY job_name
FOR UPDATE

-- name: open
-- The selected open incidents: by id, or by job (a LIKE pattern) and kind.
SELECT id, job_name, kind, error_message, acknowledged_at, acknowledged_by, acknowledged_note
FROM airflow_jobmon.incidents
WHERE resolved_at IS NULL
    AND (%(id)s::bigint IS NULL OR id = %(id)s)
    AND (%(like)s::text IS NULL OR job_name LIKE %(like)s)
    AND (%(kind)s::text IS NULL OR kind = %(kind)s)
ORDER BY job_name, kind

-- name: incident
-- One incident, open or not, to explain why it cannot be acknowledged.
SELECT job_name, kind, resolved_at FROM airflow_jobmon.incidents WHERE id = %(id)s

-- name: acknowledge
-- Its current error is known from now on, and so is what a silence has held back: acknowledged no earlier than silenced,
-- whatever the clock says.
UPDATE airflow_jobmon.incidents i
SET acknowledged_at = greatest(clock_timestamp(), i.silenced_at), acknowledged_by = %(by)s, acknowledged_note = %(note)s,
    error_texts = CASE WHEN given.text = ANY (i.error_texts) THEN i.error_texts ELSE i.error_texts || given.text END
FROM unnest(%(ids)s::bigint[], %(texts)s::text[]) AS given (id, text)
WHERE i.id = given.id

-- name: withdraw
-- As if they had never been acknowledged.
UPDATE airflow_jobmon.incidents
SET acknowledged_at = NULL, acknowledged_by = NULL, acknowledged_note = NULL
WHERE id = ANY (%(ids)s)

-- name: evaluate_soon
-- A notification may be due now. The states are locked already.
UPDATE airflow_jobmon.job_state SET judge_at = clock_timestamp() WHERE job_name = ANY (%(names)s)
