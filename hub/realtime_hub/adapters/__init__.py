"""The outside world behind the domains' ports: one technology a module."""
