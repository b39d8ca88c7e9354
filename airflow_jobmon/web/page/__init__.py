"""The pages for people: overview, job, runbook, errors."""
