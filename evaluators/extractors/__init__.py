"""Networks that embed motions and texts in a metric space."""
