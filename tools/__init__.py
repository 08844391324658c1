"""What a person who works on the product runs; no part of what is installed."""
