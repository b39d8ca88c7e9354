"""One connection for every sensor and success asset that waits for a run."""
