"""Moves old runs out of the job log, to the archive table or to files."""
