// MQTT.js with SCRAM-SHA-256 by node's own crypto: node scram.js HOST PORT USER PASSWORD
//
// Logs in, sends itself a message, authenticates again on the same connection, sends another, and prints one
// JSON object: what came, and whether the broker showed each time that it knows the keys.
"use strict";

const crypto = require("node:crypto");
const mqtt = require("mqtt");

const METHOD = "SCRAM-SHA-256";
const CONTINUE = 0x18;
const AGAIN = 0x19;
const [host, port, user, password] = process.argv.slice(2);

const hmac = (key, text) => crypto.createHmac("sha256", key).update(text).digest();

class Scram {
  constructor() {
    this.nonce = crypto.randomBytes(18).toString("base64");
    this.bare = `n=${user.replaceAll("=", "=3D").replaceAll(",", "=2C")},r=${this.nonce}`;
  }

  first() {
    return Buffer.from(`n,,${this.bare}`);
  }

  final(challenge) {
    const parts = Object.fromEntries(
      String(challenge).split(",").map((part) => [part[0], part.slice(2)]),
    );
    if (!parts.r.startsWith(this.nonce) || parts.r === this.nonce) throw new Error("not our nonce");
    const salt = Buffer.from(parts.s, "base64");
    const text = password.normalize("NFKC");
    const salted = crypto.pbkdf2Sync(text, salt, Number(parts.i), 32, "sha256");
    const clientKey = hmac(salted, "Client Key");
    const storedKey = crypto.createHash("sha256").update(clientKey).digest();
    const withoutProof = `c=biws,r=${parts.r}`;
    const said = `${this.bare},${challenge},${withoutProof}`;
    const mask = hmac(storedKey, said);
    const proof = clientKey.map((byte, at) => byte ^ mask[at]).toString("base64");
    this.expected = `v=${hmac(hmac(salted, "Server Key"), said).toString("base64")}`;
    return Buffer.from(`${withoutProof},p=${proof}`);
  }

  isSigned(properties) {
    return String(properties.authenticationData) === this.expected;
  }
}

let scram = new Scram();
let finished = null;
const told = {};

function auth(reasonCode, authenticationData) {
  const properties = { authenticationMethod: METHOD, authenticationData };
  return { cmd: "auth", reasonCode, properties };
}

const client = mqtt.connect({
  host,
  port: Number(port),
  protocol: "mqtt",
  protocolVersion: 5,
  reconnectPeriod: 0,
  properties: { authenticationMethod: METHOD, authenticationData: scram.first() },
});

client.handleAuth = (packet, callback) => {
  if (packet.reasonCode === CONTINUE) {
    callback(undefined, auth(CONTINUE, scram.final(packet.properties.authenticationData)));
  } else {
    callback();
    finished(packet.properties);
  }
};

function end() {
  console.log(JSON.stringify(told));
  client.end(true, {}, () => process.exit(0));
}

async function echo(text) {
  const came = new Promise((resolve) => client.once("message", (_, payload) => resolve(payload)));
  await client.publishAsync("scram/echo", text, { qos: 1 });
  return String(await came);
}

client.on("connect", async (connack) => {
  told.signed = scram.isSigned(connack.properties);
  await client.subscribeAsync("scram/echo", { qos: 1 });
  told.message = await echo("to myself");
  scram = new Scram();
  const properties = await new Promise((resolve) => {
    finished = resolve;
    client._sendPacket(auth(AGAIN, scram.first()));
  });
  told.signedAgain = scram.isSigned(properties);
  told.messageAgain = await echo("and again");
  end();
});

client.on("error", (error) => {
  told.error = error.message;
  told.code = error.code;
  end();
});
