"""What a Realtime client and hub agree on, byte for byte: no I/O, no clock, no asyncio."""
