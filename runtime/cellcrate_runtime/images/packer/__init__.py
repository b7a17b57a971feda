"""Making images out of programs that this machine has."""
