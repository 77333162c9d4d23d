"""File drops: bucket notifications that rules turn into tasks."""
