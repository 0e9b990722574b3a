// The parser for mails of several parts as the stages have it, on the real clock, one for a test file.

import { MimeParser } from '../../src/mail/mime-parser.ts';
import type { Parse } from '../../src/mail/read-text.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';

const parser = new MimeParser({ clock: nodeRuntime.clock, deadlineMs: 60_000 });

export const parse: Parse = (piece) => parser.read(piece);
