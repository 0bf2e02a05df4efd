"""Extractors, metrics, protocols, tables: everything that scores motion."""
