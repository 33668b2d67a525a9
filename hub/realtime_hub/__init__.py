"""The Realtime hub: sessions, trust (TurboAuth) and payments (TurboRoute) for Qubic."""
