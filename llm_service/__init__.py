"""A Kafka worker that turns documents and prompts into LLM results and never loses one."""

from importlib.metadata import version

__version__ = version("llm-service")
