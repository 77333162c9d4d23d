"""What crosses Kafka: tasks, status events and dead letters, between bytes and objects."""
