"""``llm-service adopt``: what it reads, writes and shows."""
