-- Silences, as people make, list and lift them; the judges' own look at them is in judging.sql.

-- name: patience
-- Judges wait while this waits: so not for long for whoever holds what it needs, nor they for a machine that vanishes in
-- the middle (see claim_events).
SELECT set_config('lock_timeout', %(patience)s, true), set_config('idle_in_transaction_session_timeout', '20s', true)

-- name: lock
-- One at a time, so that a name never has two silences in force; others go on reading. And when every judge at work is
-- done: what he, who saw the silences as they were, is about to record would not be seen here, nor told before the
-- hourly check.
LOCK TABLE airflow_jobmon.silences IN SHARE ROW EXCLUSIVE MODE;
LOCK TABLE airflow_jobmon.job_state IN EXCLUSIVE MODE

-- name: list
SELECT name, starts_at, ends_at, reason, silenced_by, lifted_by, ends_at > clock_timestamp() AS in_force
FROM airflow_jobmon.silences
WHERE %(ended)s OR ends_at > clock_timestamp()
ORDER BY ends_at > clock_timestamp() DESC, ends_at DESC, id DESC

-- name: change
-- The one in force under this name, with the end it had.
UPDATE airflow_jobmon.silences AS changed
SET ends_at = coalesce(%(until)s, clock_timestamp() + %(lasting)s), reason = %(reason)s, silenced_by = %(by)s
FROM (SELECT id, ends_at FROM airflow_jobmon.silences WHERE name = %(name)s AND ends_at > clock_timestamp()) AS before
WHERE changed.id = before.id
RETURNING changed.ends_at, before.ends_at

-- name: add
INSERT INTO airflow_jobmon.silences (name, reason, silenced_by, ends_at)
VALUES (%(name)s, %(reason)s, %(by)s, coalesce(%(until)s, clock_timestamp() + %(lasting)s))
RETURNING ends_at, NULL

-- name: lift
UPDATE airflow_jobmon.silences SET ends_at = clock_timestamp(), lifted_by = %(by)s
WHERE name = %(name)s AND ends_at > clock_timestamp()
RETURNING ends_at, reason, silenced_by

-- name: last_ended
SELECT ends_at FROM airflow_jobmon.silences WHERE name = %(name)s ORDER BY ends_at DESC LIMIT 1

-- name: affected
-- How many jobs a name means now, and how many open incidents they have.
SELECT
    (SELECT count(*) FROM (
        SELECT job_name FROM airflow_jobmon.job_state WHERE job_name LIKE %(like)s
        UNION
        SELECT name FROM airflow_jobmon.jobs WHERE name LIKE %(like)s
        UNION
        SELECT %(name)s WHERE EXISTS (SELECT FROM airflow_jobmon.runs WHERE job_name = %(name)s)) AS meant),
    (SELECT count(*) FROM airflow_jobmon.incidents WHERE resolved_at IS NULL AND job_name LIKE %(like)s)

-- name: judge_soon
-- Whose open incidents may be told, or told no more, from now on.
UPDATE airflow_jobmon.job_state SET judge_at = clock_timestamp()
WHERE job_name IN (SELECT job_name FROM airflow_jobmon.incidents WHERE resolved_at IS NULL AND job_name LIKE %(like)s)
