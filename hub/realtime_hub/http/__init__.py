"""The ports that a hub listens on: uvicorn with the bounds that it lacks."""
