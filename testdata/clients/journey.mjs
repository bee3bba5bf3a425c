// What a user of clients/javascript does with a server. usage: journey.mjs whole|faults|find NAME; "replace" is printed when the server is to be replaced.

import assert from "node:assert/strict";
import { Client, ServerGone, ZinitError } from "./zinit.mjs";

const service = { exec: ["sh", "-c", "echo hello; echo oops >&2; exec sleep 600"], status: "stop" };
const ofKind = (kind) => (error) => error instanceof ZinitError && error.kind === kind;

async function until(items, wanted) {
  for (;;) {
    const { value } = await items.next();
    if (wanted(value)) return value;
  }
}

async function whole(name) {
  const c = await Client.connect();
  const { pid } = await c.systemPing();
  const made = await c.serviceCreate({ service: { ...service, name } });
  assert.equal(made.path, null);
  assert((await c.serviceList()).includes(name));
  assert.equal((await c.serviceStatus(name)).state, "inactive");

  const events = c.events({ services: [name], types: ["state"] });
  const lines = c.follow({ services: [name], lines: 0 });
  await c.serviceStart(name);
  assert.equal((await c.serviceWait(name)).state, "running");
  assert.equal((await events.next()).value.to, "starting");
  assert.equal((await events.next()).value.to, "running");
  const texts = [(await lines.next()).value.text, (await lines.next()).value.text];
  assert.deepEqual(texts.sort(), ["hello", "oops"]);

  await assert.rejects(c.serviceStatus(name + "x"), (e) => ofKind("service_not_found")(e) && e.code === -32000 && e.data.names.includes(name));
  await assert.rejects(c.serviceCreate({ service: { ...service, name } }), ofKind("already_exists"));
  await assert.rejects(c.serviceWait(name, { state: "exited", timeout_ms: 1 }), ofKind("timeout"));

  let ended = false;
  const waiting = c.serviceWait(name, { state: "exited" }).then(() => (ended = true));
  assert(await c.serviceIsRunning(name));
  assert(!ended);
  await c.serviceStop(name);
  await waiting;
  await c.serviceStart(name, { wait: true });

  const before = (await c.logsTail(name, { lines: 1 }))[0].seq;
  let read = false;
  const reading = (async () => {
    await until(events, (e) => e.lost);
    await until(lines, (n) => n.seq > before && n.text === "hello");
    read = true;
  })();
  console.log("replace");
  while ((await c.systemPing()).pid === pid) assert.equal((await c.serviceStatus(name)).state, "running");
  while (!read) await c.serviceRestart(name, { wait: true });
  await reading;
  await events.return();
  for await (const _ of events) assert.fail("it has ended");

  await c.serviceDelete(name);
  assert(!(await c.serviceList()).includes(name));
  c.close();
  assert((await lines.next()).done);
}

/** Against the pretended server of clients_test.go, which breaks the first connection in the middle of service.list and of service.start. */
async function faults() {
  const c = await Client.connect();
  assert.deepEqual(await c.serviceList(), ["x"]);
  await assert.rejects(c.serviceStart("x"), ServerGone);
  const lines = c.follow();
  assert.deepEqual(await c.serviceList(), ["x"]);
  const { value } = await lines.next();
  assert.equal(value.seq, 6);
  assert.equal(value.lost, 5 + 2);
  const warned = new Promise((done) => process.once("warning", done));
  assert.deepEqual(await c.logsGet("x"), []);
  assert.match((await warned).message, /lacks 7 entries/);
  c.close();
}

async function find() {
  const c = await Client.connect();
  console.log(c.path);
  c.close();
}

const [way, name] = process.argv.slice(2);
await { whole, faults, find }[way](name);
console.log("done");
