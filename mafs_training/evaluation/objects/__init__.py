"""`mafs-eval objects`: label images, or the labels of weights, against boxes."""
