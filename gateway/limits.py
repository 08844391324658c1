"""Every bound that parts of the product share, with its unit and the reason beside it.

A bound that only one file needs stands at the top of that file. Imports nothing.
"""

# -- MQTT, the language ------------------------------------------------------------------------

# The protocol's own: a variable byte integer has four bytes of seven bits (section 1.5.5).
REMAINING_LENGTH_BYTES_MAX = 268_435_455

# The protocol's own: a two byte length stands before every string [MQTT-4.7.3-3].
TOPIC_BYTES_MAX = 65_535

# Each level is one step of a walk through every topic tree; real hierarchies have under 20, and
# 65,535 slashes would cost 100 times the memory of the packet that carried them.
TOPIC_LEVELS_MAX = 128

# A user property of five bytes becomes 200 bytes of objects: without a bound a packet of 1 MB
# costs 40 MB. Gateways in the field that trace every hop add tens.
USER_PROPERTIES_MAX = 1_024

# One SUBSCRIBE or UNSUBSCRIBE. Enough to restore a large bridge in one packet, and small enough
# that the turn which works it off stays in the tens of milliseconds.
FILTERS_IN_PACKET_MAX = 8_192
