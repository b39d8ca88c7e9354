-- Silences, for the commands that create, list and lift them; evaluations read them by incidents.sql.

-- name: patience
-- Evaluations wait while this waits for its locks: so it does not wait long, and a client that vanishes in the middle
-- loses its session after 20 s (see claim_events).
SELECT set_config('lock_timeout', %(patience)s, true), set_config('idle_in_transaction_session_timeout', '20s', true)

-- name: lock
-- One process at a time, so that a name never has two active silences; readers are not blocked. And after all running
-- evaluations: those read the silences as they were, and what they are about to record would be neither seen here nor
-- notified before the hourly check.
LOCK TABLE airflow_jobmon.silences IN SHARE ROW EXCLUSIVE MODE;
LOCK TABLE airflow_jobmon.job_state IN EXCLUSIVE MODE

-- name: list
-- Active silences, the last to end first, then, if asked, those that ended.
SELECT name, starts_at, ends_at, reason, silenced_by, lifted_by, ends_at > clock_timestamp() AS in_force
FROM airflow_jobmon.silences
WHERE %(ended)s OR ends_at > clock_timestamp()
ORDER BY ends_at > clock_timestamp() DESC, ends_at DESC, id DESC

-- name: change
-- The active silence of this name; returns its new and its previous end.
UPDATE airflow_jobmon.silences AS changed
SET ends_at = coalesce(%(until)s, clock_timestamp() + %(lasting)s), reason = %(reason)s, silenced_by = %(by)s
FROM (SELECT id, ends_at FROM airflow_jobmon.silences WHERE name = %(name)s AND ends_at > clock_timestamp()) AS before
WHERE changed.id = before.id
RETURNING changed.ends_at, before.ends_at AS ended_at

-- name: add
INSERT INTO airflow_jobmon.silences (name, reason, silenced_by, ends_at)
VALUES (%(name)s, %(reason)s, %(by)s, coalesce(%(until)s, clock_timestamp() + %(lasting)s))
RETURNING ends_at, NULL AS ended_at

-- name: lift
UPDATE airflow_jobmon.silences SET ends_at = clock_timestamp(), lifted_by = %(by)s
WHERE name = %(name)s AND ends_at > clock_timestamp()
RETURNING ends_at

-- name: last_ended
SELECT ends_at FROM airflow_jobmon.silences WHERE name = %(name)s ORDER BY ends_at DESC LIMIT 1

-- name: affected
-- How many jobs a name matches now, and how many open incidents they have.
SELECT
    (SELECT count(*) FROM (
        SELECT job_name FROM airflow_jobmon.job_state WHERE job_name LIKE %(like)s
        UNION
        SELECT name FROM airflow_jobmon.jobs WHERE name LIKE %(like)s
        UNION
        SELECT %(name)s WHERE EXISTS (SELECT FROM airflow_jobmon.runs WHERE job_name = %(name)s)) AS meant),
    (SELECT count(*) FROM airflow_jobmon.incidents WHERE resolved_at IS NULL AND job_name LIKE %(like)s)

-- name: evaluate_soon
-- Notifications of their open incidents may start or stop now.
UPDATE airflow_jobmon.job_state SET judge_at = clock_timestamp()
WHERE job_name IN (SELECT job_name FROM airflow_jobmon.incidents WHERE resolved_at IS NULL AND job_name LIKE %(like)s)
