"""Alert drills, step by step."""
