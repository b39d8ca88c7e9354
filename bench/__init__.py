"""Figures measured against a peer in the same run: `python -m bench [NAME...]`. Nothing here is part of the package."""
