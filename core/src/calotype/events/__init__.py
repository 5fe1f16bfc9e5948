"""Events: a feed for listeners and waiters, and webhooks. Both read the outbox in the database."""
