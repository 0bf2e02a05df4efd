"""Codes that are dense in time: the field that reads them, and the two denoisers that make them, a coarse curve and then its detail."""
