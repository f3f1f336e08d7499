"""One reader a data set: from its raw files to rows."""
