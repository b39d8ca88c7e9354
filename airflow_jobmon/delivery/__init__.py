"""Sends what is in the outbox: alerts and reports."""
