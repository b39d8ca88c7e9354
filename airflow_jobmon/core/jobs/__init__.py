"""The registry entry: its fields, what is wrong with one, and how two lists of them differ."""
