"""The life of a task, from a delivery to its settled outcome. Knows no Kafka."""
