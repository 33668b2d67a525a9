"""The session layer beside other servers that do the same work: ``make bench-hub``."""
