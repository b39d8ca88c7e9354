"""What the package speaks of: runs, health, incidents, alerts, reports, waits."""
