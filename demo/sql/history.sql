-- Ninety days of runs of six jobs, up to the moment in the setting sample.now. The same moment gives the same rows: what
-- looks random is read from an md5 of the job and of how many slots ago the run was, so the charts look alike all year.
WITH moment AS (SELECT current_setting('sample.now')::timestamptz AS now),
job (
    name, time_zone, first_at, step, weekdays,
    seconds, spread,               -- the middle of the durations, and how far they scatter (of a logarithm)
    records, by_weekday, by_hour   -- the middle of the records, and what share of it Monday to Sunday and 0 h to 23 h see
) AS (
    VALUES
    ('update-installment-statuses', 'America/New_York', interval '2 hours', interval '1 day', '{1,2,3,4,5,6,7}'::integer[],
     12, 0.22,
     38, '{1.7,1.1,1.0,1.0,1.2,0.5,0.3}'::numeric[], NULL::numeric[]),
    ('sync-bank-transactions', 'UTC', interval '0', interval '20 minutes', '{1,2,3,4,5,6,7}',
     6, 0.30,
     24, '{1.2,1.0,1.0,1.0,1.3,0.4,0.2}',
     '{0.1,0.1,0.1,0.1,0.2,0.3,0.5,0.9,1.4,1.8,1.9,1.8,1.5,1.6,1.8,1.7,1.5,1.2,0.9,0.7,0.5,0.4,0.3,0.2}'),
    ('send-payment-reminders', 'UTC', interval '5 minutes', interval '1 hour', '{1,2,3,4,5,6,7}',
     9, 0.25,
     11, '{1.4,1.1,1.0,1.0,0.9,0.5,0.5}',
     '{0.2,0.1,0.1,0.1,0.2,0.4,0.9,1.6,2.0,1.8,1.4,1.2,1.1,1.1,1.1,1.0,1.0,1.2,1.3,1.2,0.9,0.7,0.4,0.3}'),
    ('agency-revenue-report', 'Europe/London', interval '7 hours 30 minutes', interval '1 day', '{1,2,3,4,5}',
     96, 0.15,
     420, '{1.3,1.0,1.0,1.0,1.1,0,0}', NULL),
    ('reconcile-ledger', 'Australia/Sydney', interval '4 hours', interval '1 day', '{7}',
     840, 0.12,
     5200, '{1,1,1,1,1,1,1}', NULL),
    ('nightly-backup', 'UTC', interval '1 hour 30 minutes', interval '1 day', '{1,2,3,4,5,6,7}',
     1260, 0.08,
     NULL, NULL, NULL)
),
-- Wall-clock times of the job's own zone, so that a clock change moves the run in UTC as it moves it for people.
slot AS (
    SELECT job.*, local_time, local_time AT TIME ZONE job.time_zone AS at,
           row_number() OVER (PARTITION BY job.name ORDER BY local_time DESC) AS ago
    FROM moment
    CROSS JOIN job
    CROSS JOIN LATERAL generate_series(
        date_trunc('day', (now - interval '90 days') AT TIME ZONE job.time_zone) + job.first_at,
        (now - interval '10 seconds') AT TIME ZONE job.time_zone,
        job.step
    ) AS local_time
    WHERE extract(isodow FROM local_time) = ANY (job.weekdays)
      AND local_time AT TIME ZONE job.time_zone <= now - interval '10 seconds'
),
-- Three numbers from 0 to 1 for each run, from its digest.
noise AS (
    SELECT slot.*,
           ('x' || substr(digest, 1, 6))::bit(24)::integer / 16777216.0 AS delay,
           ('x' || substr(digest, 7, 6))::bit(24)::integer / 16777216.0 AS share,
           (('x' || substr(digest, 13, 6))::bit(24)::integer
            + ('x' || substr(digest, 19, 6))::bit(24)::integer
            + ('x' || substr(digest, 25, 6))::bit(24)::integer) / 16777216.0 - 1.5 AS bell
    FROM slot CROSS JOIN LATERAL md5(slot.name || ' ' || slot.ago) AS digest
),
-- How many runs ago each run failed, after how many seconds, and how long until it was started again.
failure (name, ago, seconds, again_after, error) AS (
    VALUES
    ('update-installment-statuses', 41, 31.0, interval '38 minutes', 'Connection timeout after 3 retries'),
    ('update-installment-statuses', 66, 4.2, interval '6 hours 12 minutes',
     'deadlock detected: process 28811 waits for ShareLock on transaction 90418; blocked by process 28790'),
    ('sync-bank-transactions', 511, 30.1, NULL, 'HTTP 503 Service Unavailable from api.bank.example'),
    ('sync-bank-transactions', 512, 30.2, NULL, 'HTTP 503 Service Unavailable from api.bank.example'),
    ('sync-bank-transactions', 513, 30.1, NULL, 'HTTP 503 Service Unavailable from api.bank.example'),
    ('sync-bank-transactions', 3377, 1.3, NULL, 'certificate has expired: api.bank.example'),
    ('send-payment-reminders', 190, 12.8, NULL, 'SMTP 451 4.7.0 Temporary server error, please try again later'),
    ('send-payment-reminders', 1204, 9.9, NULL, 'canceling statement due to statement timeout'),
    ('agency-revenue-report', 29, 14.0, interval '1 hour 47 minutes', 'division by zero'),
    ('nightly-backup', 17, 702.0, interval '5 hours 4 minutes',
     'pg_dump: error: Dumping the contents of table "installments" failed: server closed the connection unexpectedly')
),
run AS (
    SELECT noise.name, noise.ago, false AS again,
           noise.at + noise.delay * interval '4 seconds' AS started_at,
           noise.seconds * exp(noise.spread * 1.6 * noise.bell)
           -- The week in which the installments had lost an index; and backups that grow with what they save.
           * CASE WHEN noise.name = 'update-installment-statuses' AND noise.ago BETWEEN 15 AND 21 THEN 5.2 ELSE 1 END
           * CASE WHEN noise.name = 'nightly-backup' THEN 1 + 0.2 * (90 - noise.ago) / 90 ELSE 1 END AS seconds,
           round(noise.records
                 * noise.by_weekday[extract(isodow FROM noise.local_time)::integer]
                 * coalesce(noise.by_hour[extract(hour FROM noise.local_time)::integer + 1], 1)
                 * (0.6 + 0.8 * noise.share))::integer AS records,
           failure.error, failure.seconds AS failed_after, failure.again_after
    FROM noise LEFT JOIN failure ON failure.name = noise.name AND failure.ago = noise.ago
),
ended AS (
    SELECT name, ago, again, started_at, seconds, records, error FROM run WHERE error IS NULL
    UNION ALL
    SELECT name, ago, false, started_at, failed_after, records * 0, error FROM run WHERE error IS NOT NULL
    UNION ALL
    SELECT name, ago, true, started_at + again_after, seconds, records, NULL FROM run WHERE again_after IS NOT NULL
)
INSERT INTO public.jobs_log (id, job_name, started_at, completed_at, records_updated, status, error_message)
SELECT md5(name || started_at || again)::uuid, name, started_at,
       -- Nothing is still running when the demo begins.
       least(started_at + seconds * interval '1 second', now - interval '1 second'),
       records, CASE WHEN error IS NULL THEN 'success' ELSE 'failed' END, error
FROM ended CROSS JOIN moment
ORDER BY started_at;
