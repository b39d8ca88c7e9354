"""One bounded HTTP request, and what its answer means; beneath channels and hooks."""
