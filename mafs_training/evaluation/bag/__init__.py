"""`mafs-eval bag`: a bag through pairing and predictor, and through the live node."""
