"""What a run of the demo looks like: contact sheet, film, figures."""
