"""Alert drills: each sends a test alert along the path of a real one, times it, and leaves nothing behind."""
