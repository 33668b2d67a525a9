"""The `realtime` command."""
