"""The command `calotype`: verbs, their output, and how they end."""
