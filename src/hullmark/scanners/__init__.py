"""Scanners and their databases, one package each."""
