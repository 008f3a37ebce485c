"""Tests of what talks to a registry."""
