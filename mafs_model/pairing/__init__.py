"""Two camera streams become pairs: mutually nearest stamps."""
