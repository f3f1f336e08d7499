"""How a sweep's jobs are run: one after the other, or several at once on this machine."""
