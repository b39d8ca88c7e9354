"""Everything that speaks psycopg."""
