-- Acknowledgements of open incidents.

-- name: lock_states
-- Before the incidents themselves, as judges do, and in order of name.
SELECT FROM airflow_jobmon.job_state
WHERE job_name IN (
    SELECT job_name FROM airflow_jobmon.incidents
    WHERE resolved_at IS NULL
        AND (%(id)s::bigint IS NULL OR id = %(id)s)
        AND (%(like)s::text IS NULL OR job_name LIKE %(like)s))
ORDER BY job_name
FOR UPDATE

-- name: open
-- The open incidents that are meant: by id, or by job (a LIKE pattern) and kind.
SELECT id, job_name, kind, error_message, acknowledged_at, acknowledged_by, acknowledged_note
FROM airflow_jobmon.incidents
WHERE resolved_at IS NULL
    AND (%(id)s::bigint IS NULL OR id = %(id)s)
    AND (%(like)s::text IS NULL OR job_name LIKE %(like)s)
    AND (%(kind)s::text IS NULL OR kind = %(kind)s)
ORDER BY job_name, kind

-- name: incident
SELECT job_name, kind, resolved_at FROM airflow_jobmon.incidents WHERE id = %(id)s

-- name: acknowledge
-- Known from now on is also the error that it has now, and what a silence has held back so far, whatever clocks say.
UPDATE airflow_jobmon.incidents i
SET acknowledged_at = greatest(clock_timestamp(), i.silenced_at), acknowledged_by = %(by)s, acknowledged_note = %(note)s,
    error_texts = CASE WHEN given.text = ANY (i.error_texts) THEN i.error_texts ELSE i.error_texts || given.text END
FROM unnest(%(ids)s::bigint[], %(texts)s::text[]) AS given (id, text)
WHERE i.id = given.id

-- name: withdraw
UPDATE airflow_jobmon.incidents
SET acknowledged_at = NULL, acknowledged_by = NULL, acknowledged_note = NULL
WHERE id = ANY (%(ids)s)

-- name: judge_soon
-- They may be owed telling; their states are locked already.
UPDATE airflow_jobmon.job_state SET judge_at = clock_timestamp() WHERE job_name = ANY (%(names)s)
