"""Registry entries learned from a job's history."""
