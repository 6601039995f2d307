"""How well scores agree with the outcomes of finished runs."""
