"""gateway-devices: what hangs on the gateway's serial lines becomes topics, and commands go back.

A process of its own that reaches the broker over MQTT alone, so either may crash without the other.
Its floors, downwards; from station down nothing imports asyncio, time, os, serial or logging:

    daemon
    runtime
    channel  broker_client  tasks      the world: pyserial, aiomqtt, asyncio
    station                            joins what stands below; four verbs
    port  outbox  status
    lines  formats  topics  backoff  events
"""
