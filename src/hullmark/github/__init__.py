"""GitHub: what is read there, and what is written, through its REST and GraphQL interfaces."""
