"""``llm-service task``: all that is known of one task."""
