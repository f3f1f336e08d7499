"""Several jobs from one command: their overrides, and the table at the end."""
