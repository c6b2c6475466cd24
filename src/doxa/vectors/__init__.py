"""Floor 2: directions in the residual stream."""
