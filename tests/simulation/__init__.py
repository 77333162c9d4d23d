"""The worker's own code on a virtual clock, between simulated services that fail by a seed. See ``scripts/simulate``."""
