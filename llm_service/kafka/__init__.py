"""Kafka: the consumer's thread, offsets and their map, settling, publishing, topics."""
