"""Alert drills: each takes the path that a real alert takes, measures it, and leaves nothing behind."""
