"""The topics of the service by role: shown, and made."""
