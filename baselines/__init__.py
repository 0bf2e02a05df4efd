"""Published systems behind one interface. Knows nothing of metrics and tables."""
