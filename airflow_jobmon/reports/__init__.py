"""Gathers the data of the morning digest, the weekly review and the monthly audit."""
