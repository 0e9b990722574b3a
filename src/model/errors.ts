// The errors that mean something to whoever catches them, and the exit codes that go with them.
// Each message says what was expected, what was found instead and what to do.

/** A configuration file or variable that cannot be used. The daemon does not start. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Somebody else holds the spool or a stage's journal. */
export class InUseError extends Error {
  override readonly name = 'InUseError';
}

/** Another holder has taken over: this one may never write or answer again. */
export class FencedError extends Error {
  override readonly name = 'FencedError';
}

/** A kept record is not what its digest, chain or position says. Nothing goes on until a person has looked. */
export class DamagedLogError extends Error {
  override readonly name = 'DamagedLogError';
}

/** What an operator asked for is not there, or the words are wrong. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * Exit codes, after sysexits.h where one fits. A supervisor does not restart a stage that ended with `damaged` or `config`,
 * and never gives up one that ended with `disk`: that trouble ends when the disk's does.
 */
export const exitCode = { ok: 0, failed: 1, usage: 64, damaged: 65, disk: 74, inUse: 75, config: 78 } as const;

/** What a caught value says, whatever it is. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
