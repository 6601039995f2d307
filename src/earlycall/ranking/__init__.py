"""Rankings of runs from their prefixes, how sure they are, and successive halving by them."""
