"""Identify callers, and protect the files that hold their secrets."""
