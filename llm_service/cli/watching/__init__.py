"""Statuses as a reader of the status topic sees them: read, followed and shown."""
