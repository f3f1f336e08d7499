"""The run folders there are: listing, picking, tagging, pruning and deleting them."""
