"""The local engine: language models in GGUF files, answered in batches by a supervised process of their own."""
