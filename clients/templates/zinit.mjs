// Client of the zinit supervisor for Node 18 or newer: JSON-RPC 2.0 over its Unix socket, nothing beyond what Node has.
// Results are objects as docs/rpc.md shows them; zinit.d.mts has their types.
//
// @notice@

import fs from "node:fs";
import net from "node:net";
import os from "node:os";

const FEED_MAX = 10_000; // notifications that wait for one iterator; logs.follow also gives no more lines from before
const PAUSE = 50; // ms between two attempts to connect

/** What the server refused. Programs read `kind` and `data`, never the message. */
export class ZinitError extends Error {
  constructor({ code, message, data }) {
    super(message);
    this.name = "ZinitError";
    this.code = code;
    this.kind = data.kind;
    this.data = data;
  }
}

/** No server answers, or the connection broke before an answer. Whether a changing request was carried out is then not known. */
export class ServerGone extends Error {
  constructor(message) {
    super(message);
    this.name = "ServerGone";
  }
}

/** Where a server may be found when nobody names a socket: the places of the zinit command, but for the abstract one, whose owner Node cannot tell. */
function sockets() {
  const linux = process.platform === "linux";
  const places = linux ? ["/run/zinit.sock"] : [];
  const home = process.env.HOME ?? process.env.USERPROFILE;
  if (linux && process.env.XDG_RUNTIME_DIR) places.push(process.env.XDG_RUNTIME_DIR + "/zinit.sock");
  else if (home) places.push(home + "/hero/var/zinit.sock");
  if (linux) {
    places.push("/tmp/zinit.sock");
    try {
      const namespace = fs.readlinkSync("/proc/self/ns/pid").replace(/\D/g, "");
      places.push(`/dev/shm/zinit.${namespace}/zinit.sock`);
    } catch {}
  }
  return places;
}

/** Refuse a socket that is neither root's nor our own: anybody can make one in /tmp. */
function refuseStranger(path) {
  if (process.platform !== "linux") return;
  const { uid } = fs.lstatSync(path);
  if (uid !== 0 && uid !== process.geteuid()) throw new Error(`it belongs to user ${uid}; name the socket if you trust it`);
}

const pause = () => new Promise((done) => setTimeout(done, PAUSE));

/** The notifications of one subscription that nobody has read yet. Where they are too many the oldest are dropped and counted. */
class Feed {
  items = [];
  lost = 0;
  ended = false;
  #wake = () => {};

  put(item) {
    if (this.items.length === FEED_MAX) this.lost += 1 + (this.items.shift().lost ?? 0);
    this.items.push(item);
    this.#wake();
  }

  end() {
    this.ended = true;
    this.#wake();
  }

  /** The next one; undefined: the connection is gone. */
  async get() {
    while (this.items.length === 0 && !this.ended) await new Promise((wake) => (this.#wake = wake));
    const item = this.items.shift();
    if (item && this.lost) {
      item.lost = (item.lost ?? 0) + this.lost;
      this.lost = 0;
    }
    return item;
  }
}

/** A connection: answers go to the requests with their ids, notifications to the feeds of their subscriptions. */
class Connection {
  gone = false;
  #lastId = 0;
  #waiting = new Map();
  #feeds = new Map();
  #parts = []; // of a line whose end has not come yet

  static open(path) {
    return new Promise((done, fail) => {
      const socket = net.connect(path.replace(/^@/, "\0"));
      socket.once("error", fail);
      socket.once("connect", () => done(new Connection(socket, path)));
    });
  }

  constructor(socket, path) {
    this.socket = socket;
    this.path = path;
    socket.setEncoding("utf8");
    socket.on("data", (text) => this.#read(text));
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => this.close());
  }

  send(request) {
    this.socket.write(JSON.stringify({ jsonrpc: "2.0", ...request }) + "\n");
  }

  request(method, params, feed, limit) {
    if (this.gone) return Promise.reject(new ServerGone(`the server at ${this.path} closed the connection`));
    const id = ++this.#lastId;
    return new Promise((done, fail) => {
      const silent = () => {
        this.#waiting.delete(id);
        fail(new Error(`the server at ${this.path} does not answer within ${limit} ms`));
      };
      this.#waiting.set(id, { done, fail, feed, timer: limit && setTimeout(silent, limit) });
      this.send({ id, method, params });
    });
  }

  unsubscribe(feed) {
    for (const [subscription, one] of this.#feeds) {
      if (one !== feed) continue;
      this.#feeds.delete(subscription);
      if (!this.gone) this.send({ method: "events.unsubscribe", params: { subscription } });
    }
  }

  #read(text) {
    const lines = text.split("\n");
    this.#parts.push(lines[0]);
    for (let i = 1; i < lines.length; i++) {
      this.#take(JSON.parse(this.#parts.join("")));
      this.#parts = [lines[i]];
    }
  }

  #take(frame) {
    if (frame.method) {
      this.#feeds.get(frame.params.subscription)?.put(frame.params);
      return;
    }
    if (frame.id === null) {
      // of a line that the server could not read: it closes the connection
      this.#fail(new ZinitError(frame.error));
      return;
    }
    const request = this.#waiting.get(frame.id);
    if (!request) return;
    this.#waiting.delete(frame.id);
    clearTimeout(request.timer);
    if (frame.error) return request.fail(new ZinitError(frame.error));
    if (request.feed) this.#feeds.set(frame.result.subscription, request.feed);
    request.done(frame);
  }

  #fail(error) {
    for (const { fail, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      fail(error);
    }
    this.#waiting.clear();
  }

  close() {
    this.gone = true;
    this.socket.destroy();
    this.#fail(new ServerGone(`the server at ${this.path} closed the connection before it answered`));
    for (const feed of this.#feeds.values()) feed.end();
  }
}

/**
 * The notifications of a subscription, as an asynchronous iterator that goes on when the server is replaced. The end of the loop ends it.
 * An item's `lost` says how many were missed before it: this client was too slow, or, then at least 1, the server was replaced.
 */
class Stream {
  #client;
  #method;
  #params;
  #numbered;
  #feed;
  #begun;
  #last = 0;
  #gap = false;
  #closed = false;

  constructor(client, method, params, numbered) {
    this.#client = client;
    this.#method = method;
    this.#params = params;
    this.#numbered = numbered;
    this.#subscribe();
  }

  #subscribe() {
    this.#feed = new Feed();
    this.#begun = this.#client._call(this.#method, this.#params, { reading: true, feed: this.#feed });
    this.#begun.catch(() => {}); // next() says it
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async next() {
    while (!this.#closed && !this.#client._closed) {
      await this.#begun;
      const item = await this.#feed.get();
      if (!item) {
        if (this.#closed || this.#client._closed) break;
        this.#gap = true;
        // Go on behind the last line, when the next server has it.
        if (this.#numbered && this.#last) this.#params = { ...this.#params, lines: FEED_MAX };
        this.#subscribe();
        continue;
      }
      if (this.#numbered && item.seq <= this.#last) {
        this.#gap = false; // the next server has all lines since
        continue;
      }
      this.#last = item.seq;
      if (this.#gap) item.lost = (item.lost ?? 0) + 1;
      this.#gap = false;
      return { done: false, value: item };
    }
    return { done: true, value: undefined };
  }

  async return() {
    this.#closed = true;
    await this.#begun.catch(() => {});
    this.#client._connection.unsubscribe(this.#feed);
    this.#feed.end();
    return { done: true, value: undefined };
  }
}

/**
 * A connection to the server. When the server is replaced, requests that only read are sent again, for at most `timeout` ms; one that
 * changes something is never sent twice, and fails with ServerGone.
 */
export class Client {
  _connection;
  _closed = false;
  #connecting;

  /** Connects to the server at path; without one, to ZINIT_SOCKET, or where the zinit command looks. */
  static async connect(path, { timeout = 30_000 } = {}) {
    const named = path || process.env.ZINIT_SOCKET;
    const tried = [];
    for (const place of named ? [named] : sockets()) {
      try {
        if (!named) refuseStranger(place);
        return new Client(await Connection.open(place), timeout);
      } catch (error) {
        tried.push(`${place}: ${error.message}`);
      }
    }
    throw new ServerGone(`no server answers (${tried.join("; ")})`);
  }

  constructor(connection, timeout) {
    this._connection = connection;
    this.timeout = timeout;
  }

  /** The socket. */
  get path() {
    return this._connection.path;
  }

  /** Closes the connection; iterators end. */
  close() {
    this._closed = true;
    this._connection.close();
  }

  /** Connects again after the connection broke; the next server may take its time. */
  async #reconnect() {
    for (const until = Date.now() + this.timeout; !this._closed; await pause()) {
      try {
        this._connection = await Connection.open(this.path);
        if (this._closed) this._connection.close();
        return;
      } catch (error) {
        if (Date.now() > until) throw new ServerGone(`no server answers (${this.path}: ${error.message})`);
      }
    }
  }

  async _call(method, params, { reading = false, waits = false, feed } = {}) {
    for (let until; ; await pause()) {
      if (this._connection.gone && !this._closed) {
        this.#connecting ??= this.#reconnect().finally(() => (this.#connecting = undefined));
        await this.#connecting;
      }
      try {
        const answer = await this._connection.request(method, params, feed, waits ? 0 : this.timeout);
        if (answer.left_out) process.emitWarning(`the answer to ${method} would be too large: it lacks ${answer.left_out} entries`);
        return answer.result;
      } catch (error) {
        until ??= Date.now() + this.timeout;
        if (!(error instanceof ServerGone) || !reading || this._closed || Date.now() > until) throw error;
      }
    }
  }

  // @methods@
}
