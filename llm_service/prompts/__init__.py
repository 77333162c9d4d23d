"""What is asked of a model and what its answer is held to: catalogue, placeholders, schema, verdict."""
