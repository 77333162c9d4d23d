"""What is kept of tasks beside Kafka: for now the operation log in PostgreSQL, which decides nothing."""
