"""Finds and explains what would keep alerts from arriving. Reads only, apart from a NOTIFY on a channel of its own."""
