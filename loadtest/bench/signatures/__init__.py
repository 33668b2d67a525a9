"""Rates of the signatures on each path that runs here, beside libsodium's Ed25519."""
