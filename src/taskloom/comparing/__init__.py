"""Many runs side by side: what differs, what is best, and what is noise."""
