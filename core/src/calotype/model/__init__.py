"""Images, their states, the changes that a caller may ask for, and the rights. No HTTP, SQL or store."""
