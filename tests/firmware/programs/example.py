"""Runs the example sensor.py against one gateway: example.py GATEWAY."""

import sys

import sensor

sensor.GATEWAYS = (sys.argv[1],)
sensor.main()
