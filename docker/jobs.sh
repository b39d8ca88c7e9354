#!/usr/bin/env bash
# Runs the jobs as cron would: reminders every minute, installments every hour. A failed run is in the log; continue.
set -uo pipefail
for ((minute = 0; ; minute++)); do
  psql -X -q -c 'CALL public.send_payment_reminders()'
  if ((minute % 60 == 0)); then psql -X -q -c 'CALL public.update_installment_statuses()'; fi
  sleep "${MINUTE:-60}" &
  wait $!
done
