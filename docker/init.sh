#!/usr/bin/env bash
# Prepares both databases before anything else starts. Runs at each start, and is safe to repeat.
set -euo pipefail
airflow db migrate
airflow users create --username admin --role Admin --firstname Admin --lastname Admin --email admin@example.com \
  --password "$AIRFLOW_ADMIN_PASSWORD"
airflow jobmon migrate --conn-id jobmon_owner
