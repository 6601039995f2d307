"""The loss-curve approximation f(x) = 1/(b1 + b2·x) + b3: fitted, streamed, and how sure it is."""
