"""The figures of one job as JSON, and of all jobs for Prometheus."""
