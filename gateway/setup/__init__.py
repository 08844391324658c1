"""gateway-setup: makes of the installer's file what the box runs on. See `main.py`."""
