// Where the bytes of one DATA go: the small part of a stream that the library uses of its own PassThrough, which costs more a
// message than receiving it. Takes chunks as the parser frees them of their dots, gives each on at once, then says once
// how it ended. Holds nothing itself, so there is nothing to wait for and nothing to drain.

import type { SMTPStream } from './library.ts';

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

const dotted = Buffer.from('\n.');
/** The parser keeps so many bytes back: the end of the data may be cut in two. */
const keptBack = 4;

/**
 * Passes a chunk on as the library does, which looks at every byte in a loop of its own, when no line in it begins with a dot:
 * neither an end of the data nor a dot to take out can then be in it. What is kept back counts as part of it.
 * @returns whether it was such a chunk; one that was not is untouched
 */
export function passOn(parser: SMTPStream, chunk: Buffer): boolean {
  const before = parser._lastBytes;
  if (parser._atDataStart || before === false || chunk.length <= keptBack) return false;
  const bytes = Buffer.concat([before, chunk]);
  if (bytes.includes(dotted)) return false;
  const passed = bytes.subarray(0, bytes.length - keptBack);
  parser._lastBytes = bytes.subarray(passed.length);
  parser._countDataBytes(passed.length);
  if (parser._dataStream?.writable) parser._dataStream.write(passed);
  return true;
}
