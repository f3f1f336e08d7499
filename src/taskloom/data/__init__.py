"""Raw files to batches: acquire, read, split, encode, store, load."""
