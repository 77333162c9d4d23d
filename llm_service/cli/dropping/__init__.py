"""Drop rules shown, and tried on a key."""
