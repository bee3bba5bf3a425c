// Types of zinit.mjs.
//
// @notice@

// @types@

/** What the server refused. Programs read `kind` and `data`, never the message. */
export class ZinitError extends Error {
  readonly code: number;
  readonly kind: ErrorKind;
  readonly data: ErrorData;
}

/** No server answers, or the connection broke before an answer. Whether a changing request was carried out is then not known. */
export class ServerGone extends Error {}

/**
 * The notifications of a subscription, which goes on when the server is replaced. The end of the loop ends it. An item's `lost` says how many
 * were missed before it: this client was too slow, or, then at least 1, the server was replaced.
 */
export type Stream<T> = AsyncIterableIterator<T>;

/**
 * A connection to the server. When the server is replaced, requests that only read are sent again, for at most `timeout` ms; one that
 * changes something is never sent twice, and fails with ServerGone.
 */
export class Client {
  private constructor();

  /**
   * Connects to the server at path; without one, to ZINIT_SOCKET, or where the zinit command looks.
   * @param options.timeout in ms: how long an answer that need not wait, or the next server, may take (default 30000)
   */
  static connect(path?: string, options?: { timeout?: number }): Promise<Client>;

  /** The socket. */
  readonly path: string;

  /** Closes the connection; iterators end. */
  close(): void;

  // @methods@
}
