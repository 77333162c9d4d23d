"""The worker as a process of its own."""
