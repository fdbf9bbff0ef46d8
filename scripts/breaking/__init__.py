"""What `scripts/torture all` is made of: programs, links and clients that can be broken, and the reckoning."""
