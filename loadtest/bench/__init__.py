"""Measurements side by side with others' work."""
