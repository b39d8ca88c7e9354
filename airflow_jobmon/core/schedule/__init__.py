"""When a job runs: cron slots in its time zone, or the intervals it keeps."""
