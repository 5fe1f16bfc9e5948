"""The pages, and the forms that they send."""
