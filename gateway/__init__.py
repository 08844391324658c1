"""An MQTT gateway appliance: broker, mesh, devices and the operator's command."""

__version__ = "0.1.0"
