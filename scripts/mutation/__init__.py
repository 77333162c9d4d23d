"""The code is broken on purpose, in one small way after another, by mutmut: a test should notice each time."""
