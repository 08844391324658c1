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

# -- One broker ----------------------------------------------------------------------------------

# QoS 1 and 2 messages that a 5.0 client may have unanswered, announced in CONNACK.
RECEIVE_MAXIMUM = 1_024

# Acknowledgements that wait for other gateways before the client is no longer read: a 3.1.1 client
# has no receive maximum, so this is what slows it down.
UNANSWERED_MAX = 2_048

# What a client may send ahead while the boot barrier holds, before it is no longer read.
HELD_BYTES_MAX = 65_536

# One level of a tree of topics or filters, as measured: its node, two dictionaries, its name.
LEVEL_BYTES = 340

# Of a client id. Real ones have under 100; every session keeps one, and so do its rows on disk.
CLIENT_ID_BYTES_MAX = 1_024

# -- The mesh ------------------------------------------------------------------------------------

# A full mesh is designed and simulated to this many; beyond it the answer is another engine.
GATEWAYS_MAX = 32

# One frame on a link: the largest MQTT packet (1 MB by default, 16 MB at most), what was in its batch
# before it, and the envelopes.
LINK_FRAME_BYTES_MAX = 18_000_000

# Entries and bytes in one frame of messages: small enough that a heartbeat behind it is not late.
BATCH_ENTRIES_MAX = 4_096
BATCH_BYTES_MAX = 262_144

# Messages sent to a gateway and not yet taken by it: where publishers pause, and where they go on.
UNTAKEN_BYTES_HIGH = 4_194_304
UNTAKEN_BYTES_LOW = 1_048_576

# Cluster keys that are remembered, with those that are over: one is changed after a theft.
KEYS_MAX = 16

# Stores of gateways that are gone for good: 200 bytes each, for ever. A card a week for twenty years.
FORGOTTEN_MAX = 1_024

# How long the lock for taking gateways out of service waits for one that is away: a box boots, a card is
# changed.
LOCK_LEASE_S = 600.0

# Beyond this QoS 0 messages to that gateway are dropped, counted (publishers should have paused), and
# all messages when it is silent (nobody pauses for it).
UNTAKEN_BYTES_MAX = 16_777_216

# What a gateway that is gone had not taken, or not kept, and what is offered to it when it is back; what
# is beyond is dropped and counted. It is what its publishers had in flight.
PARKED_BYTES_MAX = 4_194_304

# What the stand-in has not on disk yet of the copy, kept in memory here: beyond it the copy is made
# anew. The largest MQTT packet fits.
COPY_BACKLOG_BYTES_MAX = 16_777_216

# Of all copies that a gateway keeps together, on the way to its disk: beyond it no more is taken.
COPY_WAITING_BYTES_MAX = 16_777_216

# Of a copy, on the link: what may be under way, and in one frame: a heartbeat behind it is not late.
COPY_WINDOW_BYTES = 262_144
COPY_PIECE_BYTES = 65_536

# Of a link that goes over a third gateway: what may be under way in one direction, in memory of the
# relay at worst, and in one frame: its own heartbeats behind some of these are not late.
ROAD_WINDOW_BYTES = 131_072
ROAD_PIECE_BYTES = 32_768

# Links that one gateway passes on for others, of which each may have two windows here: 16 MB. More than
# 64 pairs that only one gateway hears are a network that has to be seen to.
ROADS_MAX = 64

# Of such a link, what waits at its beginning for room on the way. What may be in flight to a gateway
# (`UNTAKEN_BYTES_MAX`) fits, and what both say first; beyond it the link is begun anew.
ROAD_WAITING_BYTES_MAX = 33_554_432

# How long a SUBACK waits for the other gateways to know the subscription.
INTEREST_TIMEOUT_S = 1.0

# How long clients are held back after a link came up, for what the other side has to say first.
SYNC_TIMEOUT_S = 1.0

# Filters in one frame of interest, clients in one frame, topics in one frame of retained comparison.
FILTERS_IN_FRAME_MAX = 10_000
CLIENTS_IN_FRAME_MAX = 10_000
TOPICS_IN_FRAME_MAX = 2_000

# Wills of other gateways' clients, kept for the case that their gateway dies: 10,000 clients with
# small ones are 7 MB; and the names of those whose will was sent.
WILLS_KEPT_BYTES_MAX = 16_777_216

# How long clients of a gateway that stopped, was started anew or sent them away have to be connected
# again, here or elsewhere, before their wills are sent: they try again after some seconds.
RETURN_S = 10.0

# How long an operator's question waits for the other gateways.
QUESTION_TIMEOUT_S = 2.0

# A refused gateway is named in `gwctl status` this long after it was last seen.
REFUSAL_SHOWN_S = 60.0

# Refusals remembered at once: a LAN full of strangers must not fill the memory.
REFUSALS_MAX = 64

# Addresses that are dialled: all gateways, under several addresses each.
TARGETS_MAX = 256

# Between two attempts to open a link to one address.
DIAL_BACKOFF_MIN_S = 0.25
DIAL_BACKOFF_MAX_S = 4.0

# From the TCP connection to the end of the hellos.
HELLO_TIMEOUT_S = 5.0
