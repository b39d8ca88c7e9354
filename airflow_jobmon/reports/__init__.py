"""Gathers what the digest, the weekly review and the audit say."""
