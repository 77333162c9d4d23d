"""The Provider protocol, one file per provider, and the registry that finds them."""
