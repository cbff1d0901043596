"""`mafs-eval seg`: a folder of label images against reference labels."""
