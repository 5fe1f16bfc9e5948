"""What an image is, its states, what may be asked of it, and who may do what. No HTTP, SQL or store."""
