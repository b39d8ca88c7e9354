"""What the tests share: real servers and processes, sample data, and ways to wait and look."""
