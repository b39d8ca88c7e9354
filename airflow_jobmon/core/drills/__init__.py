"""Alert drills: plans, steps and results."""
