// Whether all is well: mail is taken, acknowledged, and pulled within bounds. Takes what status has collected and the bounds, gives
// a check for each thing that can go wrong, with a level and a reason, and words for monitoring. Pure.

import { humanAge, humanBytes } from './human.ts';
import type { StatusReport } from './status.ts';

/** `warning`: somebody should look, and nothing is deferred yet. */
export type Level = 'ok' | 'warning' | 'critical';

export interface Check {
  readonly name: 'stages' | 'mail' | 'opening' | 'disk' | 'acknowledgements' | 'registry' | 'certificates' | 'journals';
  readonly level: Level;
  readonly reason: string;
}

/** What is long, in seconds; 0: nothing is. */
export interface Bounds {
  readonly relaySeconds: number;
  readonly ackSeconds: number;
  readonly pullSeconds: number;
}

/** What the checks look at. */
export type Observed = Omit<StatusReport, 'checks'>;

type Finding = Omit<Check, 'name'>;

const ok = (reason: string): Finding => ({ level: 'ok', reason });
const warning = (reason: string): Finding => ({ level: 'warning', reason });
const critical = (reason: string): Finding => ({ level: 'critical', reason });

/** An intake that has said nothing for longer stands still: it speaks every ten seconds, or as soon as anything changes. */
export const silentSeconds = 25;
/** With less room than this nothing can be written, whatever the floor is. */
const fullBytes = 1_048_576;

function stagesCheck({ stages, sends }: Observed): Finding {
  const wanted = ['intake', ...(sends ? ['acknowledge'] : []), 'deliver'];
  const at = (state: string) =>
    wanted.filter((name) => stages.some((each) => each.stage === name && each.state === state));
  const gone = wanted.filter((name) => !at('alive').includes(name) && !at('unknown').includes(name));
  if (gone.length > 0) return critical(`${gone.join(' and ')} ${gone.length === 1 ? 'does' : 'do'} not run`);
  const unseen = at('unknown');
  if (unseen.length > 0) return warning(`whether ${unseen.join(' and ')} run cannot be seen from here`);
  return ok(`${wanted.join(', ')} run`);
}

function mailCheck({ intake }: Observed): Finding {
  if (!intake) return critical('no intake says that it takes mail');
  const { answer, level, why, saidSecondsAgo } = intake;
  if (saidSecondsAgo > silentSeconds) return critical(`the intake has said nothing for ${humanAge(saidSecondsAgo)}`);
  if (answer?.due) return ok(`MAIL gets ${answer.code} by the opening: ${answer.text}`);
  if (answer) return critical(`MAIL gets ${answer.code}: ${answer.text}`);
  if (level === 'refuse') return critical(`new connections get 421: ${why}`);
  return level === 'normal' ? ok('mail is taken') : warning(`mail is taken slowly: ${why}`);
}

function openingCheck({ clock, opening }: Observed): Finding {
  if (clock.trouble !== null) return critical(`the opening waits: ${clock.trouble}`);
  if (opening.state !== 'always' && clock.synchronised === false) return warning('the clock is not synchronised');
  return ok(
    opening.state === 'always' ? 'no opening depends on the clock' : 'nothing is known to be wrong with the clock',
  );
}

function diskCheck({ disk }: Observed): Finding {
  if (!disk) return critical('the free room of the spool is not known');
  const free = `${humanBytes(disk.freeBytes)} and ${disk.freeInodes ?? 'uncounted'} inodes are free`;
  if (disk.freeBytes < fullBytes || disk.freeInodes === 0) return critical(`the disk is full: ${free}`);
  return disk.belowFloor ? critical(`below the floor: ${free}`) : ok(free);
}

function acksCheck({ sends, sending, acknowledgements: { oldestUntried } }: Observed, bounds: Bounds): Finding {
  if (!sends) return ok('off (ack.enabled)');
  if (!sending) return critical('the acknowledge stage says nothing');
  const { carriers, troubles } = sending;
  // Troubles of recipients' own servers, where there is no relay, are theirs.
  const relays = troubles.filter(({ name }) => carriers.includes(name));
  const words = relays.map(
    ({ name, forSeconds, text }) => `${name} out of reach for ${humanAge(forSeconds)} (${text})`,
  );
  const away = carriers.length > 0 && relays.length === carriers.length;
  const long = Math.min(...relays.map(({ forSeconds }) => forSeconds));
  if (away && bounds.relaySeconds > 0 && long >= bounds.relaySeconds) return critical(words.join('; '));
  if (bounds.ackSeconds > 0 && oldestUntried && oldestUntried.ageSeconds > bounds.ackSeconds)
    return critical(
      [`${oldestUntried.ticket} has waited ${humanAge(oldestUntried.ageSeconds)} to be acknowledged`, ...words].join(
        '; ',
      ),
    );
  return words.length > 0 ? warning(words.join('; ')) : ok(`sent by ${carriers.join(', ')}`);
}

function registryCheck({ registry: { oldestWaiting: oldest } }: Observed, { pullSeconds }: Bounds): Finding {
  if (!oldest) return ok('nothing waits for the registry');
  const words = `${oldest.ticket} has waited ${humanAge(oldest.ageSeconds)} for the registry`;
  return pullSeconds > 0 && oldest.ageSeconds > pullSeconds ? warning(words) : ok(words);
}

function certificatesCheck({ certificates }: Observed): Finding {
  if (certificates.length === 0) return ok('nothing is known to be wrong with one');
  const words = certificates.map(({ setting, text }) => `${setting} ${text}`).join('; ');
  return certificates.some(({ ended }) => ended) ? critical(words) : warning(words);
}

/** Every check, with what it found. */
export function checksOf(seen: Observed, bounds: Bounds): Check[] {
  const journals = seen.problems.length > 0 ? critical(seen.problems.join('; ')) : ok('nothing is known to be damaged');
  return [
    { name: 'stages', ...stagesCheck(seen) },
    { name: 'mail', ...mailCheck(seen) },
    { name: 'opening', ...openingCheck(seen) },
    { name: 'disk', ...diskCheck(seen) },
    { name: 'acknowledgements', ...acksCheck(seen, bounds) },
    { name: 'registry', ...registryCheck(seen, bounds) },
    { name: 'certificates', ...certificatesCheck(seen) },
    { name: 'journals', ...journals },
  ];
}

/** The worst level of some checks. */
export function worstOf(checks: readonly Check[]): Level {
  const found = (level: Level): boolean => checks.some((each) => each.level === level);
  return found('critical') ? 'critical' : found('warning') ? 'warning' : 'ok';
}

/** What is not well, on one line; what is well without a word. */
export function formatChecks(checks: readonly Check[]): string {
  const bad = checks.filter(({ level }) => level !== 'ok');
  if (bad.length === 0) return 'all is well';
  return bad.map(({ name, level, reason }) => `${level.toUpperCase()} ${name}: ${reason}`).join('; ');
}

/** The exit code for monitoring where no check can be made. */
export const unknownHealth = 3;

/**
 * The checks for monitoring, after the plugin guidelines of Nagios: a line that says it all, then a line for each check.
 * @returns words, and the exit code 0 (OK), 1 (WARNING) or 2 (CRITICAL)
 */
export function nagiosReport(checks: readonly Check[]): { text: string; code: number } {
  const worst = worstOf(checks);
  const lines = checks.map(({ name, level, reason }) => `${name}: ${level.toUpperCase()} - ${reason}`);
  return {
    text: [`SEAWALL ${worst.toUpperCase()} - ${formatChecks(checks)}`, ...lines].join('\n'),
    code: { ok: 0, warning: 1, critical: 2 }[worst],
  };
}
