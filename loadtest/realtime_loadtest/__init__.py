"""Load on a running hub: Locust users that log in with real signatures and ask for quotes."""
