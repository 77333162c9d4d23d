"""What ``llm-service demo`` shows: real tasks on embedded parts, from the producer's side and the reader's."""
