"""The bench: this gateway and Mosquitto, the same load, the same machine, the same run.

`python -m bench` starts the brokers in turn, drives each with the load generator of this package
and prints ratios. It stands beside the product and imports none of it: what it says about the
gateway, it saw on the wire.
"""
