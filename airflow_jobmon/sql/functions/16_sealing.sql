-- Sealing: counts whole days of every job into `job_days`, and keeps these counts right. views/13_days.sql says how they
-- are read.
-- A writer marks its change in `dirty` only where a day may be sealed. So no one may count a day before every
-- transaction has ended that may have written to that day without a mark: that is what the barrier is for. Each step
-- below is a statement of its own, whose snapshot is taken after the lock: each later count has seen at least as much.

-- The newest day that may be sealed: it began at least 48 hours ago. Changes are marked from 23 hours on.
CREATE OR REPLACE FUNCTION airflow_jobmon.last_cold_day() RETURNS date
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date - 2
$$;

-- Does one step, such as counting some days of at most a few hundred jobs. True if another step may find more to do at
-- once; false if there is nothing to do, another session is sealing, or older transactions must end first. Never waits.
CREATE OR REPLACE FUNCTION airflow_jobmon.seal() RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    state airflow_jobmon.sealing;
    cold date;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION
            'airflow_jobmon.seal() needs READ COMMITTED: each of its statements must see what was committed before it';
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('airflow_jobmon.seal', 0)) THEN
        RETURN false;
    END IF;
    cold := airflow_jobmon.last_cold_day();
    SELECT * INTO state FROM airflow_jobmon.sealing;
    IF airflow_jobmon.seal_anew(state, cold) THEN
        RETURN true;
    END IF;
    IF airflow_jobmon.settle_marks(state) THEN
        RETURN true;
    END IF;
    IF NOT airflow_jobmon.changes_are_marked(state.members) THEN
        RETURN false;
    END IF;
    IF state.barrier >= pg_snapshot_xmax(pg_current_snapshot()) THEN
        state.barrier := NULL;  -- set on another server, from which this database was restored
    END IF;
    IF state.barrier >= pg_snapshot_xmin(pg_current_snapshot()) THEN
        RETURN false;
    END IF;
    IF state.barrier IS NULL OR state.barrier_day < cold THEN
        UPDATE airflow_jobmon.sealing SET barrier = pg_current_xact_id(), barrier_day = cold;
        RETURN true;
    END IF;
    RETURN airflow_jobmon.fill(state, cold);
END $$;

-- The tables whose rows the days are counted from, in order.
CREATE OR REPLACE FUNCTION airflow_jobmon.counted_tables() RETURNS oid[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT ARRAY(
        SELECT to_regclass(i.jobs_log_table)::oid FROM airflow_jobmon.installation i
        UNION
        SELECT t.relid::oid
        FROM airflow_jobmon.installation i, pg_partition_tree(to_regclass(i.jobs_log_table)) t
        WHERE t.isleaf
        ORDER BY 1)
$$;

-- Starts over if the stored counts can no longer be trusted: the log was truncated, consists of other tables than before
-- (a partition with rows was attached, or one is gone) or is read differently; or changes are not marked, or a mark could
-- not be written. Then no stored count is used until all days are counted again. Returns whether it started over.
CREATE OR REPLACE FUNCTION airflow_jobmon.seal_anew(state airflow_jobmon.sealing, cold date) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    marks_of_all_days uuid[] := ARRAY(SELECT id FROM airflow_jobmon.dirty WHERE job_name IS NULL AND day IS NULL);
    lost bigint := coalesce(pg_sequence_last_value('airflow_jobmon.lost_marks'), 0);
    tables oid[] := airflow_jobmon.counted_tables();
    rows_came_or_went boolean := NOT state.members <@ tables OR EXISTS (
        SELECT FROM unnest(tables) AS came (relid)
        WHERE came.relid <> ALL (state.members) AND pg_relation_size(came.relid) > 0);
BEGIN
    IF tables <> state.members THEN
        UPDATE airflow_jobmon.sealing SET members = tables;
    END IF;
    IF cardinality(marks_of_all_days) = 0 AND lost = state.lost_marks AND NOT rows_came_or_went
        AND (airflow_jobmon.changes_are_marked(tables) OR coalesce(state.sealed_from, state.filling_from) IS NULL)
    THEN
        RETURN false;
    END IF;
    UPDATE airflow_jobmon.sealing
    SET sealed_from = NULL, sealed_through = NULL, filling_from = NULL, filling_through = NULL, filled_to = NULL,
        filling_marks = '{}', lost_marks = lost, barrier = pg_current_xact_id(), barrier_day = cold;
    DELETE FROM airflow_jobmon.dirty WHERE id = ANY (marks_of_all_days);
    RETURN true;
END $$;

-- Whether the triggers that mark days are on all of these tables, and enabled. `migrate` creates them after the schema,
-- and a user may disable them.
CREATE OR REPLACE FUNCTION airflow_jobmon.changes_are_marked(tables oid[]) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(*) = 3 * cardinality(tables)
    FROM pg_trigger t
    WHERE t.tgrelid = ANY (tables) AND t.tgfoid = to_regproc('airflow_jobmon.mark_days') AND t.tgenabled IN ('O', 'A')
        AND t.tgname IN ('airflow_jobmon_days_insert', 'airflow_jobmon_days_update', 'airflow_jobmon_days_delete')
$$;

-- Settles marks of single jobs: counts some of the marked days again. Returns whether there were any.
CREATE OR REPLACE FUNCTION airflow_jobmon.settle_marks(state airflow_jobmon.sealing) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM airflow_jobmon.dirty) THEN
        RETURN false;
    END IF;
    -- Marks of days that are not sealed are not needed: the count that seals such a day will see the change.
    DELETE FROM airflow_jobmon.dirty
    WHERE (day BETWEEN state.sealed_from AND state.sealed_through) IS NOT TRUE
        AND (day BETWEEN state.filling_from AND state.filling_through) IS NOT TRUE
        AND day IS NOT NULL;
    RETURN airflow_jobmon.count_marked_days(state) > 0;
END $$;

-- Counts up to a batch of marked days again and deletes their marks; returns how many. One statement, so one snapshot:
-- it counts all that the deleted marks stand for, and a mark that comes later stays.
CREATE OR REPLACE FUNCTION airflow_jobmon.count_marked_days(state airflow_jobmon.sealing) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    settled bigint;
BEGIN
    WITH chosen AS MATERIALIZED (
        SELECT job_name, day
        FROM airflow_jobmon.dirty
        WHERE job_name IS NOT NULL AND day BETWEEN state.sealed_from AND state.sealed_through
        GROUP BY job_name, day
        LIMIT state.batch
    ), settled AS (
        DELETE FROM airflow_jobmon.dirty d USING chosen WHERE d.job_name = chosen.job_name AND d.day = chosen.day
    ), counted AS MATERIALIZED (
        SELECT c.*
        FROM chosen, LATERAL airflow_jobmon.count_days(
            chosen.job_name, airflow_jobmon.day_start(chosen.day), airflow_jobmon.day_start(chosen.day + 1)) c
    ), emptied AS (
        DELETE FROM airflow_jobmon.job_days d USING chosen
        WHERE d.job_name = chosen.job_name AND d.day = chosen.day AND NOT d.frozen
            AND NOT EXISTS (SELECT FROM counted WHERE counted.job_name = d.job_name AND counted.day = d.day)
    ), stored AS (
        INSERT INTO airflow_jobmon.job_days AS d
        SELECT counted.*, false, state.generation FROM counted
        ON CONFLICT (job_name, day) DO UPDATE
        SET (total_runs, successful_runs, failed_runs, timed_runs, duration_sum, duration_min, duration_median,
                duration_p95, duration_max, records_runs, records_sum, records_median, generation)
            = (excluded.total_runs, excluded.successful_runs, excluded.failed_runs, excluded.timed_runs,
                excluded.duration_sum, excluded.duration_min, excluded.duration_median, excluded.duration_p95,
                excluded.duration_max, excluded.records_runs, excluded.records_sum, excluded.records_median,
                excluded.generation)
        WHERE NOT d.frozen
    )
    SELECT count(*) INTO settled FROM chosen;
    RETURN settled;
END $$;
