"""A Qubic network in one process, for development and tests."""
