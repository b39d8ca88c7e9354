"""The way of the monitoring procedures, to measure against: their trigger and Node listener, their queries."""
