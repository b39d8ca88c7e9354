"""The contents of the digest, the weekly review, the audit and the dashboard."""
