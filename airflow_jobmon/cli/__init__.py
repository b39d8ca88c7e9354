"""`airflow jobmon ...`: one file per command, each a function from arguments to a CommandResult."""
