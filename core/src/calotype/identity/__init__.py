"""Who is asking, and where the secrets that say so are kept."""
