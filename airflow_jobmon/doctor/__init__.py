"""Finds and explains anything that would block alerts. Reads only, apart from a NOTIFY on a channel of its own."""
