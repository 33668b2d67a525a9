"""Apps: who else's users and backends a hub serves, each with keys and a block list of its own."""
