"""What must hold of a run; one file a promise. A checker returns what is wrong, in words."""
