"""Protocols: draw conditions, ask for motions, embed, score, repeat."""
