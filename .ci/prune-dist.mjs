// Removes from dist what no source makes any more. Files that a source still makes are left alone, so a program that runs from
// dist meanwhile finds all it needs.

import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
for (const path of readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' })) {
  const made = /^(.*)\.js(?:\.map)?$/.exec(path)?.[1];
  if (made !== undefined && !existsSync(join(root, 'src', `${made}.ts`))) rmSync(join(root, 'dist', path));
}
