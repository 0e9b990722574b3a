// What the operating system says when a call fails: its code, and whether the disk is in trouble.
// Takes any caught value; never fails.

/** The `code` of a system error (ENOENT …), or undefined. */
export function errorCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}

const diskCodes = new Set(['EIO', 'ENOSPC', 'EDQUOT', 'EROFS', 'EFBIG', 'Unknown system error -122']);

/** Whether an error, or what caused it, is the disk's: full, broken or read-only, and perhaps not for ever. */
export function isDiskTrouble(error: unknown): boolean {
  const code = errorCode(error);
  if (code !== undefined) return diskCodes.has(code);
  return error instanceof Error && isDiskTrouble(error.cause);
}
