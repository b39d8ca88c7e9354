"""The rules: health from facts, incident changes from health, alerts from incident changes."""
