"""Waits for runs: all sensors and success assets of a process share one connection."""
