"""How quickly a hub knows whom to trust, and hears that it changed: ``python -m bench.trust``."""
