/**
 * The seam to the platform's sockets. A transport turns whatever its platform
 * does into three calls: open, frames, and exactly one end.
 */

/** How a connection ended. */
export interface TransportEnd {
  /** The close code of a WebSocket (1006 when there was none); else zero. */
  readonly code: number;
  /** For people who debug. */
  readonly reason: string;
}

/** What a transport tells of one connection. */
export interface TransportHandler {
  /** It is open. Called at most once, before any frame. */
  onOpen(): void;
  /** One whole frame arrived; empty for a heartbeat. */
  onFrame(frame: Uint8Array): void;
  /** It ended or could not be opened. Called exactly once, and nothing after. */
  onEnd(end: TransportEnd): void;
}

/** One connection, or an attempt to open one. */
export interface TransportConnection {
  /** Sends one frame; the bytes are copied. Ignored when it is not open. */
  send(frame: Uint8Array): void;
  /** Bytes that wait in this program; zero where the platform does not say. */
  bufferedBytes(): number;
  /** Ends it. `onEnd` follows, at once or later, if it was not called yet. */
  close(): void;
}

/** Opens connections. */
export interface Transport {
  /** Opens one connection to `url`. Problems are told by `onEnd`. */
  open(url: string, handler: TransportHandler): TransportConnection;
}
