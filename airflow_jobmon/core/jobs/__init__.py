"""The registry entry: its fields, its validation errors, and the differences between two lists of entries."""
