"""Behind ``llm-service providers``."""
