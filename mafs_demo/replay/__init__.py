"""One run of the demo: what is played, the processes that play it, and what was recorded."""
