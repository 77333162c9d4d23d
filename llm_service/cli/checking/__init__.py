"""What ``llm-service check`` looks at: one probe per dependency, each giving findings."""
