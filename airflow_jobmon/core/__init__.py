"""Pure decisions: values in, values out; no clock, no connection, no setting, no Airflow."""
