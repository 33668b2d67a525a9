"""What Qubic nodes, its HTTP API and our contracts put on the wire."""
