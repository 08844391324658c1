"""The device side of the gateway mesh: see client.py, and README.md for installing it."""

from .client import Client

__all__ = ("Client",)
