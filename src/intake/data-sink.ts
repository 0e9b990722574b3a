// Where the bytes of one DATA go: the small part of a stream that the library uses of its own PassThrough, which costs more a
// message than receiving it. Takes chunks as the parser frees them of their dots, gives each on at once, then says once
// how it ended. Holds nothing itself, so there is nothing to wait for and nothing to drain.

/** Who takes the message. */
export interface DataTaker {
  chunk(bytes: Buffer): void;
  /** The final dot has been read. */
  end(): void;
  /** The client went away before it. */
  lost(): void;
}

export class DataSink {
  /** Counted by the parser. */
  byteLength = 0;
  sizeExceeded = false;
  /** The connection asks for these as it would ask a stream. Nothing is ever left to be read. */
  readonly readable = false;
  readonly readableEnded = true;
  writable = true;
  writableEnded = false;
  destroyed = false;
  /** Set by whoever takes the message, before the first byte. */
  taker: DataTaker | undefined;

  write(bytes: Buffer): boolean {
    this.taker?.chunk(bytes);
    return true;
  }

  end(bytes?: Buffer): void {
    if (bytes) this.taker?.chunk(bytes);
    this.writable = false;
    this.writableEnded = true;
    this.taker?.end();
  }

  destroy(): void {
    if (this.destroyed || this.writableEnded) return;
    this.writable = false;
    this.destroyed = true;
    this.taker?.lost();
  }

  listenerCount(): number {
    return 0;
  }
}
