"""TurboAuth: who a wallet is and how far it is trusted."""
