"""Sends the alerts and reports that are in the outbox."""
