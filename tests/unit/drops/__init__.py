"""File drops."""
