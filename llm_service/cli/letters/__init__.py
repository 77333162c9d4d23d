"""Dead letters: found, shown, sent again, put away."""
