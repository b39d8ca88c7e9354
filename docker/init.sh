#!/usr/bin/env bash
# What has to be there before anything else starts; run again at each start, and safe then.
set -euo pipefail
airflow db migrate
airflow users create --username admin --role Admin --firstname Admin --lastname Admin --email admin@example.com \
  --password "$AIRFLOW_ADMIN_PASSWORD"
airflow jobmon migrate --conn-id jobmon_owner
