"""`mafs-eval compare`: two evaluation documents over the images they share."""
