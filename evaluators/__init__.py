"""Extractors, metrics, protocols, tables: everything that judges a motion."""
