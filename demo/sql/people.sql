-- Agencies around the world, and the plans of their students. The setting sample.now is the moment the sample is made for.
INSERT INTO public.agencies (name, time_zone) VALUES
    ('Harbour Study Abroad', 'Pacific/Auckland'),
    ('Southern Cross Education', 'Australia/Sydney'),
    ('Ganga Overseas', 'Asia/Kolkata'),
    ('Lindenhof Sprachreisen', 'Europe/Berlin'),
    ('Brooklyn Campus Link', 'America/New_York'),
    ('Pali Coast Placement', 'Pacific/Honolulu');

INSERT INTO public.payment_plans (agency_id, student)
SELECT agency.id,
       (ARRAY['Aroha', 'Mateo', 'Priya', 'Jonas', 'Mei', 'Kofi', 'Leilani', 'Sana'])[1 + (agency.id + number) % 8]
       || ' ' || (ARRAY['Ng', 'Silva', 'Rao', 'Keller', 'Tanaka', 'Mensah', 'Kealoha'])[1 + (agency.id * 3 + number) % 7]
FROM public.agencies AS agency, generate_series(1, 14) AS number;

-- One installment a week and plan, ten weeks back and eight ahead. What fell due the day before today, where the
-- agency is, is still pending: the next run of update_installment_statuses moves it.
INSERT INTO public.installments (payment_plan_id, amount, student_due_date, status)
SELECT plan.id,
       150 + (plan.id * 37 + number * 11) % 12 * 25,
       due.on_day,
       CASE
           WHEN due.on_day >= due.today - 1 THEN 'pending'
           WHEN (plan.id * 7 + number * 13) % 11 = 0 THEN 'overdue'
           ELSE 'paid'
       END
FROM public.payment_plans AS plan
JOIN public.agencies AS agency ON agency.id = plan.agency_id
CROSS JOIN generate_series(1, 19) AS number
CROSS JOIN LATERAL (
    SELECT today, today + (number - 11) * 7 - (plan.id % 7)::integer AS on_day
    FROM public.agency_today(agency.time_zone, current_setting('sample.now')::timestamptz) AS today
) AS due;
