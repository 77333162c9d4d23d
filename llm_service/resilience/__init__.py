"""Breaker, retry, limits, deadlines and the clock they read."""
