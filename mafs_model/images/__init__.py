"""Images as values: reading, encodings, preparation, thermal scaling, registration, drawing."""
