"""Two camera streams become pairs: mutually nearest stamps, and the offset of two clocks."""
