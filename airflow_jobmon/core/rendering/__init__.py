"""Renders text and drawings: messages, reports, charts, Prometheus text, CSV, shell commands."""
