// MQTT.js for the tests: one JSON object a line in, one a line out.
//
//   in   {"call": 7, "client": 1, "do": "publish", ...}
//   out  {"call": 7, "result": ...} or {"call": 7, "error": "text", "code": 135}
//        {"client": 1, "message": {...}} and {"client": 1, "closed": {"reason": 142}} as they happen
//
// Payloads travel in base64. Knows nothing of any test; face.py says what each call means.
"use strict";

const mqtt = require("mqtt");
const readline = require("node:readline");

const clients = new Map();

function tell(what) {
  process.stdout.write(JSON.stringify(what) + "\n");
}

function bytes(text) {
  return Buffer.from(text, "base64");
}

function outgoing(properties) {
  if (!properties) return undefined;
  const given = { ...properties };
  if (given.correlationData) given.correlationData = bytes(given.correlationData);
  if (given.userProperties) {
    // MQTT.js keeps a list for a name that comes more than once.
    const byName = {};
    for (const [name, value] of given.userProperties) (byName[name] ||= []).push(value);
    given.userProperties = byName;
  }
  return given;
}

function incoming(properties) {
  if (!properties) return {};
  const given = { ...properties };
  if (given.correlationData) given.correlationData = given.correlationData.toString("base64");
  given.userProperties = Object.entries(given.userProperties || {}).flatMap(([name, values]) =>
    [values].flat().map((value) => [name, value]),
  );
  return given;
}

function connect({ client: number, host, port, options, will }) {
  return new Promise((resolve, reject) => {
    if (will) {
      options.will = { ...will, payload: bytes(will.payload), properties: outgoing(will.properties) };
    }
    const client = mqtt.connect({ host, port, protocol: "mqtt", reconnectPeriod: 0, ...options });
    let reason = null;
    let connected = false;
    clients.set(number, client);
    client.on("connect", (connack) => {
      connected = true;
      resolve(Boolean(connack.sessionPresent));
    });
    client.on("error", (error) => {
      if (!connected) reject(error);
    });
    client.on("disconnect", (packet) => {
      reason = packet.reasonCode ?? null;
    });
    client.on("close", () => {
      if (connected) tell({ client: number, closed: { reason } });
    });
    client.on("message", (topic, payload, packet) => {
      tell({
        client: number,
        message: {
          topic,
          payload: payload.toString("base64"),
          qos: packet.qos,
          retain: packet.retain,
          properties: incoming(packet.properties),
        },
      });
    });
  });
}

const verbs = {
  connect,
  async subscribe({ client, filter, options }) {
    const granted = await clients.get(client).subscribeAsync(filter, options);
    return granted[0].qos;
  },
  async unsubscribe({ client, filter }) {
    await clients.get(client).unsubscribeAsync(filter);
  },
  async publish({ client, messages }) {
    const one = clients.get(client);
    await Promise.all(
      messages.map(({ topic, payload, qos, retain, properties }) =>
        one.publishAsync(topic, bytes(payload), { qos, retain, properties: outgoing(properties) }),
      ),
    );
  },
  async disconnect({ client }) {
    await clients.get(client).endAsync();
    clients.delete(client);
  },
  abort({ client }) {
    return new Promise((resolve) => {
      const one = clients.get(client);
      clients.delete(client);
      one.once("close", () => one.end(true, {}, resolve));
      one.stream.destroy();
    });
  },
  async close({ client }) {
    const one = clients.get(client);
    clients.delete(client);
    if (one) await one.endAsync(true);
  },
};

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const request = JSON.parse(line);
  try {
    const result = await verbs[request.do](request);
    tell({ call: request.call, result: result ?? null });
  } catch (error) {
    tell({ call: request.call, error: String(error), code: error.code ?? null });
  }
}).on("close", () => process.exit(0));
