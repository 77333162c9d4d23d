"""Builds every part from settings, starts them in order, stops them in reverse."""
