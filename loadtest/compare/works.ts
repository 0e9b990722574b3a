// The works that are compared, as a table: what is done, by whom, and what the goal is. The first contender of each is the one
// that the goal is for. Counts are for two cores; --scale makes them smaller for a try.

import { type Certificate, makeCertificate } from './certificate.ts';
import {
  type Contender,
  type NotMeasured,
  postfixHold,
  postfixRefusing,
  postfixRelay,
  seawallIntake,
  seawallWithBook,
  seawallWhole,
  smtpServerAlone,
} from './contenders.ts';
import { runFlood, smtpSource } from './generators.ts';
import { eximQueue, openSmtpdEach, openSmtpdQueue, type Programs } from './where-installed.ts';

/** Who does a work. */
interface Field {
  readonly contenders: readonly Contender[];
  readonly missing: readonly NotMeasured[];
}

export interface Work {
  readonly name: string;
  readonly words: string;
  readonly unit: string;
  readonly count: number;
  readonly setup: (programs: Programs) => Promise<Field & { certificate?: Certificate }>;
  /** One measurement: how much a second. */
  readonly measure: (contender: Contender, count: number) => Promise<number>;
  /** What ours is to be in units of each of the others, in their order; undefined: it is only reported. */
  readonly ratios: readonly (number | undefined)[];
  /** What ours is to be at least, by itself. */
  readonly least?: number;
}

/** Sets up several; when one fails, the others are ended. */
async function all(...makers: (() => Promise<Contender | NotMeasured>)[]): Promise<Field> {
  const contenders: Contender[] = [];
  const missing: NotMeasured[] = [];
  try {
    for (const make of makers) {
      const made = await make();
      if ('why' in made) missing.push(made);
      else contenders.push(made);
    }
    return { contenders, missing };
  } catch (error) {
    for (const each of contenders) await each.stop();
    throw error;
  }
}

const seawall = (): Promise<Contender> => seawallIntake('Seawall');
const postfix = (): Promise<Contender> => postfixHold('Postfix');
const othersKept = ({ exim, opensmtpd }: Programs) => [() => eximQueue(exim), () => openSmtpdQueue(opensmtpd)];
const othersEach = ({ exim }: Programs, certificate?: Certificate) => [
  () => eximQueue(exim, certificate),
  openSmtpdEach,
];
const guarded = (): Promise<Contender> => seawallWithBook('Seawall');
const refusing = (): Promise<Contender> => postfixRefusing('Postfix');

const stranger = { bytes: 100, sessions: 100, refused: true, to: 'nobody@elsewhere.example' };

function large(kilobytes: number, count: number): Work {
  const bytes = kilobytes * 1_024;
  return {
    name: `large-${kilobytes}k`,
    words: `mails of ${kilobytes} KB, sessions kept (smtp-source -d -s 20)`,
    unit: 'MB/s',
    count,
    setup: (programs) => all(seawall, postfix, ...othersKept(programs)),
    measure: async ({ port }, messages) =>
      ((await smtpSource(port, { count: messages, bytes, sessions: 20, kept: true })) * bytes) / 1e6,
    ratios: [undefined],
  };
}

export const works: readonly Work[] = [
  {
    name: 'kept',
    words: 'accept, sessions kept (smtp-source -d -s 100 -l 4096), intake alone',
    unit: '/s',
    count: 8_000,
    setup: (programs) => all(seawall, postfix, () => smtpServerAlone('smtp-server'), ...othersKept(programs)),
    measure: ({ port }, count) => smtpSource(port, { count, bytes: 4_096, sessions: 100, kept: true }),
    ratios: [6, 0.9],
  },
  {
    name: 'each',
    words: 'accept, a connection each (smtp-source -s 100 -l 4096), intake alone',
    unit: '/s',
    count: 4_000,
    setup: (programs) => all(seawall, postfix, ...othersEach(programs)),
    measure: ({ port }, count) => smtpSource(port, { count, bytes: 4_096, sessions: 100, kept: false }),
    ratios: [3],
  },
  {
    name: 'starttls',
    words: 'accept with STARTTLS, a connection each, 4 KB (flood --closed --each --tls), the same certificate',
    unit: '/s',
    count: 2_000,
    setup: async (programs) => {
      const certificate = await makeCertificate();
      try {
        const field = await all(
          () => seawallIntake('Seawall', certificate),
          () => postfixHold('Postfix', certificate),
          ...othersEach(programs, certificate),
        );
        return { ...field, certificate };
      } catch (error) {
        await certificate.remove();
        throw error;
      }
    },
    measure: async ({ port, name }, count) => {
      const how = ['--closed', '--each', '--tls', '--sessions', '50', '--sizes', '4096'];
      const end = await runFlood(port, ['--profile', 'storm', '--count', String(count), ...how]);
      if (end.accepted !== count)
        throw new Error(`${name} took ${end.accepted} of ${count}: ${JSON.stringify(end.codes)}`);
      return count / end.seconds;
    },
    ratios: [2],
  },
  {
    name: 'whole',
    words: 'the whole job: accept, acknowledge to a sink, pull, confirm, until the last; Postfix relays to such a sink',
    unit: '/s',
    count: 4_000,
    setup: () =>
      all(
        () => seawallWhole('Seawall'),
        () => postfixRelay('Postfix'),
      ),
    measure: async ({ port, through }, count) => {
      const began = performance.now();
      await smtpSource(port, { count, bytes: 4_096, sessions: 100, kept: true });
      await through(count);
      return (count / (performance.now() - began)) * 1_000;
    },
    ratios: [4],
  },
  {
    name: 'beside',
    words: 'intake while acknowledging and pulling at full speed, beside the intake alone (smtp-source -d -s 100)',
    unit: '/s',
    count: 8_000,
    setup: () =>
      all(
        () => seawallWhole('busy'),
        () => seawallIntake('alone'),
      ),
    measure: async ({ port, through }, count) => {
      const rate = await smtpSource(port, { count, bytes: 4_096, sessions: 100, kept: true });
      await through(count);
      return rate;
    },
    ratios: [0.6],
  },
  {
    name: 'strangers-kept',
    words: 'refuse strangers at MAIL by the book, sessions kept (smtp-source -A -d -s 100)',
    unit: '/s',
    count: 20_000,
    setup: () => all(guarded, refusing),
    measure: ({ port }, count) => smtpSource(port, { ...stranger, count, kept: true }),
    ratios: [undefined],
    least: 8_333,
  },
  {
    name: 'strangers-each',
    words: 'refuse strangers at MAIL by the book, a connection each (smtp-source -A -s 100)',
    unit: '/s',
    count: 4_000,
    setup: () => all(guarded, refusing),
    measure: ({ port }, count) => smtpSource(port, { ...stranger, count, kept: false }),
    ratios: [1.5],
  },
  large(20, 4_000),
  large(200, 800),
];
