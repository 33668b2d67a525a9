"""Payments: one intent, at most one execution on the chain."""
