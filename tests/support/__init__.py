"""What the tests share: real servers and processes, sample data, and functions that wait or read."""
