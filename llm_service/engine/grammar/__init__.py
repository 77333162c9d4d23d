"""JSON Schema to GBNF, the grammars that llama.cpp holds an answer to."""
