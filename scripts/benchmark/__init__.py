"""What the worker costs and how well it fills its slots, on a real Kafka, beside a plain aiokafka loop."""
