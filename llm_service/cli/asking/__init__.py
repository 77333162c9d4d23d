"""The parts of ``ask``."""
