"""The local engine beside llama-cpp-python as its own documentation uses it: one request at a time."""
