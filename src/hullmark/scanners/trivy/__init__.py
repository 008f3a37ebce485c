"""Trivy: identified by its bytes, run contained, its report read into findings; its words stop here."""
