"""Load tests of a Realtime hub."""
