-- The sample system: small agencies whose students pay in installments, and the jobs that look after them.
-- Nothing in here knows that it is being watched: this is the database as it was before airflow_jobmon came.

CREATE TABLE public.agencies (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    time_zone text NOT NULL  -- free text on purpose: a typo in it is one of the faults the demo shows
);

CREATE TABLE public.payment_plans (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agency_id bigint NOT NULL REFERENCES public.agencies,
    student text NOT NULL
);
CREATE INDEX payment_plans_agency_id ON public.payment_plans (agency_id);

CREATE TABLE public.installments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_plan_id bigint NOT NULL REFERENCES public.payment_plans,
    amount numeric(10, 2) NOT NULL CHECK (amount > 0),
    student_due_date date NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'paid', 'overdue'))
);
CREATE INDEX installments_payment_plan_id ON public.installments (payment_plan_id);
CREATE INDEX installments_pending ON public.installments (student_due_date) WHERE status = 'pending';

CREATE TABLE public.reminders (
    installment_id bigint PRIMARY KEY REFERENCES public.installments,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Plays the bank that the jobs ask. Setting `answers` to false is the bank's bad day.
CREATE TABLE public.bank_gateway (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    answers boolean NOT NULL DEFAULT true
);
INSERT INTO public.bank_gateway DEFAULT VALUES;

CREATE TABLE public.jobs_log (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_name text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at timestamptz,
    records_updated integer,
    status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'success', 'failed')),
    error_message text
);

-- What day it is at an agency.
CREATE FUNCTION public.agency_today(time_zone text, as_of timestamptz) RETURNS date
LANGUAGE sql STABLE
RETURN (as_of AT TIME ZONE time_zone)::date;

-- Ask the bank for payments of this agency in progress, so that no paid installment is marked as overdue.
CREATE FUNCTION public.ask_bank(agency_id bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    answered boolean;
BEGIN
    FOR attempt IN 1..3 LOOP
        SELECT answers INTO STRICT answered FROM public.bank_gateway;
        IF answered THEN
            RETURN;
        END IF;
        PERFORM pg_sleep(0.05 * attempt);
    END LOOP;
    RAISE EXCEPTION 'Connection timeout after 3 retries'
        USING ERRCODE = 'connection_failure', DETAIL = format('The bank did not answer for agency %s.', agency_id);
END
$$;

-- Every job logs itself alike: a running row that is committed before the work, so that others see it running,
-- then how it ended. The work sits in its own block: when it fails it is rolled back, and the row that says so is not.
-- CALL it outside a transaction block, as pg_cron and psql do.

-- Pending installments whose due date has passed where the agency is become overdue.
CREATE PROCEDURE public.update_installment_statuses(as_of timestamptz DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
    run_id uuid;
    agency record;
    moved integer;
    total integer := 0;
    problem text;
    problem_code text;
BEGIN
    INSERT INTO public.jobs_log (job_name) VALUES ('update-installment-statuses') RETURNING id INTO run_id;
    COMMIT;

    BEGIN
        FOR agency IN SELECT id, time_zone FROM public.agencies ORDER BY id LOOP
            UPDATE public.installments AS i
            SET status = 'overdue'
            FROM public.payment_plans AS p
            WHERE p.id = i.payment_plan_id
              AND p.agency_id = agency.id
              AND i.status = 'pending'
              AND i.student_due_date < public.agency_today(agency.time_zone, coalesce(as_of, clock_timestamp()));
            GET DIAGNOSTICS moved = ROW_COUNT;
            total := total + moved;
            PERFORM public.ask_bank(agency.id);
        END LOOP;
    EXCEPTION WHEN query_canceled OR OTHERS THEN  -- OTHERS alone lets a statement timeout through, and the row runs for ever
        GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT, problem_code = RETURNED_SQLSTATE;
    END;

    UPDATE public.jobs_log
    SET status = CASE WHEN problem IS NULL THEN 'success' ELSE 'failed' END,
        completed_at = clock_timestamp(),
        records_updated = CASE WHEN problem IS NULL THEN total ELSE 0 END,
        error_message = problem
    WHERE id = run_id;
    COMMIT;

    IF problem IS NOT NULL THEN  -- the caller gets the error too
        RAISE EXCEPTION USING MESSAGE = problem, ERRCODE = problem_code;
    END IF;
END
$$;

-- Students are reminded once of what falls due within three days where their agency is.
CREATE PROCEDURE public.send_payment_reminders(as_of timestamptz DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
    run_id uuid;
    written integer := 0;
    problem text;
    problem_code text;
BEGIN
    INSERT INTO public.jobs_log (job_name) VALUES ('send-payment-reminders') RETURNING id INTO run_id;
    COMMIT;

    BEGIN
        INSERT INTO public.reminders (installment_id)
        SELECT i.id
        FROM public.installments AS i
        JOIN public.payment_plans AS p ON p.id = i.payment_plan_id
        JOIN public.agencies AS a ON a.id = p.agency_id
        WHERE i.status = 'pending'
          AND i.student_due_date - public.agency_today(a.time_zone, coalesce(as_of, clock_timestamp())) BETWEEN 0 AND 3
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS written = ROW_COUNT;
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT, problem_code = RETURNED_SQLSTATE;
    END;

    UPDATE public.jobs_log
    SET status = CASE WHEN problem IS NULL THEN 'success' ELSE 'failed' END,
        completed_at = clock_timestamp(),
        records_updated = CASE WHEN problem IS NULL THEN written ELSE 0 END,
        error_message = problem
    WHERE id = run_id;
    COMMIT;

    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING MESSAGE = problem, ERRCODE = problem_code;
    END IF;
END
$$;
