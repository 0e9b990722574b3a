// Programs that tests need from the system. In CI they must be there; on a laptop a test without them says so and is skipped.

import { execFile } from 'node:child_process';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';

export const run = promisify(execFile);

/** Whether a tool works, tried by running it. */
export async function has(t: TestContext, [tool = '', ...args]: readonly string[]): Promise<boolean> {
  try {
    await run(tool, args);
    return true;
  } catch (error) {
    if (process.env.CI !== undefined) throw error;
    t.skip(`${tool} ${args.join(' ')} does not work here: this is NOT tested`);
    return false;
  }
}
