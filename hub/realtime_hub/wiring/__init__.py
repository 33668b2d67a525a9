"""The pieces of bootstrap: each makes one part of a hub from its settings."""
