"""The ways in: WebSocket, REST, administration."""
