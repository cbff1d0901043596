"""HTML reports: page, charts and pictures, and one module for each kind of result."""
