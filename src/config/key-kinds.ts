// The kinds of keys: what a value from TOML must be, and how an environment variable's text becomes one. Pure; a value that cannot
// be used is undefined, and `wants` says what was wanted.

export interface Key<T> {
  readonly fallback: T;
  readonly help: string;
  /** What a value must be, for the error message. */
  readonly wants: string;
  /** Checks a value from TOML; undefined means that it cannot be used. */
  readonly check: (value: unknown) => T | undefined;
  /** Turns an environment variable's text into what TOML would have given. */
  readonly fromText: (text: string) => unknown;
}

export const number = (fallback: number, min: number, max: number, help: string): Key<number> => ({
  fallback,
  help,
  wants: `a whole number from ${min} to ${max}`,
  check: (value) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max ? value : undefined,
  fromText: (text) => (/^-?\d+$/.test(text.trim()) ? Number(text) : text),
});

export const text = (fallback: string, help: string, pattern = /^/, wants = 'a text'): Key<string> => ({
  fallback,
  help,
  wants,
  check: (value) => (typeof value === 'string' && pattern.test(value) ? value : undefined),
  fromText: (value) => value,
});

export const flag = (fallback: boolean, help: string): Key<boolean> => ({
  fallback,
  help,
  wants: 'true or false',
  check: (value) => (typeof value === 'boolean' ? value : undefined),
  fromText: (value) => (value === 'true' ? true : value === 'false' ? false : value),
});

export const list = (
  help: string,
  pattern: { test(item: string): boolean },
  wants: string,
  fallback: readonly string[] = [],
): Key<readonly string[]> => ({
  fallback,
  help,
  wants,
  check: (value) =>
    Array.isArray(value) && value.every((item) => typeof item === 'string' && pattern.test(item))
      ? Object.freeze(value.map(String))
      : undefined,
  fromText: (value) => value.split(',').flatMap((item) => (item.trim() === '' ? [] : [item.trim()])),
});

export const choice = <const T extends string>(fallback: T, options: readonly T[], help: string): Key<T> => ({
  fallback,
  help,
  wants: `one of ${options.join(', ')}`,
  check: (value) => options.find((option) => option === value),
  fromText: (value) => value,
});

export const port = (fallback: number, help: string): Key<number> =>
  number(fallback, 0, 65_535, `${help} (0: the system picks)`);
