"""Object stores and the way from a stored object to a local file and to its text."""
