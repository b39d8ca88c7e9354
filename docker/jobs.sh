#!/usr/bin/env bash
# The jobs, as a cron would run them: reminders each minute, installments each hour. A failed one is in the log; go on.
set -uo pipefail
for ((minute = 0; ; minute++)); do
  psql -X -q -c 'CALL public.send_payment_reminders()'
  if ((minute % 60 == 0)); then psql -X -q -c 'CALL public.update_installment_statuses()'; fi
  sleep "${MINUTE:-60}" &
  wait $!
done
