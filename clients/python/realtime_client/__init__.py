"""The Realtime client for Python."""
