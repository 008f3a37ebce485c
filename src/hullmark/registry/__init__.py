"""A container registry: where it is, who we are there, what it has, and what is put there."""
