"""What the hub knows of the Qubic network: its identity, its ticks, what they held."""
