"""Images, their states, the changes that callers may ask for, and the rights. No HTTP, SQL or stores."""
