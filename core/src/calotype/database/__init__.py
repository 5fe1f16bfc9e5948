"""Images, their locations, jobs and usage in tables: one module a noun. No HTTP, no stores."""
