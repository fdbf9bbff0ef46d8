"""The soak: programs, what they are given to do, samples of them, and the verdict."""
