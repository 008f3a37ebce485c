"""Newer packages of an image as a pull request: found, described, and kept up to date on GitHub."""
