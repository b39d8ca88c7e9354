"""What the morning digest, the weekly review, the monthly audit and the dashboard say."""
