"""The image database: tables, queries and units of work, one module per kind of row. No HTTP, no stores."""
