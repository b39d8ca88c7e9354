#!/usr/bin/env bash
# Fills the empty jobs database with the demo's sample system: tables, procedures, and 90 days of runs.
set -euo pipefail
sample=${SAMPLE:-/sample}
psql -X -q -v ON_ERROR_STOP=1 --single-transaction -o /dev/null \
  -c "SELECT set_config('sample.now', now()::text, false)" \
  -f "$sample/system.sql" -f "$sample/people.sql" -f "$sample/history.sql"
