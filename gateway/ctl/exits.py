"""gwctl's exit statuses. Must not know when they are used."""

DONE = 0  # healthy, or done
DEGRADED = 1  # or refused by the gateway
UNREACHABLE = 2
MISTYPED = 64
INTERRUPTED = 130  # by Ctrl-C, before there was anything to show
