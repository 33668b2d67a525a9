"""Living sessions: who is connected, what each is owed, in which order."""
