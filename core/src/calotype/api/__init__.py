"""The HTTP side: one package a dialect, and beside them what the dialects share."""
