"""The local engine with the real llama.cpp, on models of random weights."""
