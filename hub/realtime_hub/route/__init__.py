"""TurboRoute: which way a payment takes."""
