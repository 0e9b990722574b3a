// Asks for a password: takes a prompt, gives one line from standard input. On a terminal nothing of it is shown. Fails when
// the person gives up.

import { UsageError } from '../model/errors.ts';

/** One line from standard input; on a terminal it is asked for, and not shown. */
export async function readPassword(prompt: string): Promise<string> {
  const { stdin, stderr } = process;
  if (stdin.isTTY) {
    stderr.write(prompt);
    stdin.setRawMode(true);
  }
  let typed = '';
  try {
    for await (const chunk of stdin.setEncoding('utf8') as AsyncIterable<string>) {
      for (const character of chunk) {
        if (character === '\r' || character === '\n') return typed;
        if (character === '\u0003') throw new UsageError('given up.');
        typed = character === '\u007f' ? typed.slice(0, -1) : typed + character;
      }
    }
    return typed;
  } finally {
    if (stdin.isTTY) {
      stdin.setRawMode(false);
      stderr.write('\n');
    }
  }
}
