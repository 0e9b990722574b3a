import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { DeliverEvent } from '../../src/deliver/leases/lease-state.ts';
import { QueueError } from '../../src/deliver/soap/fault.ts';
import type { JournalState } from '../../src/ports/journal.ts';
import { filledLog, openLeases } from '../support/deliver.ts';
import { JournalStore, TurnedClock } from '../support/memory.ts';

class Crash extends Error {}

/** Where the power goes: at the n-th time that this is reached. */
type Place =
  | 'server: before the write'
  | 'server: after the write, before the answer'
  | 'network: the answer is lost'
  | 'client: after the batch came'
  | 'client: after half of the batch'
  | 'client: before Confirm'
  | 'client: before it notes that Confirm was answered';

const places: readonly Place[] = [
  'server: before the write',
  'server: after the write, before the answer',
  'network: the answer is lost',
  'client: after the batch came',
  'client: after half of the batch',
  'client: before Confirm',
  'client: before it notes that Confirm was answered',
];

/** A journal that stops, for good, at the place and time that the plan says. */
class CrashingStore extends JournalStore<DeliverEvent> {
  reach: (place: Place) => void = () => undefined;

  override open(state: JournalState<DeliverEvent>) {
    const journal = super.open(state);
    return {
      ...journal,
      append: async (events: readonly DeliverEvent[]) => {
        if (events.some(({ type }) => type !== 'secret')) this.reach('server: before the write');
        await journal.append(events);
        if (events.some(({ type }) => type !== 'secret')) this.reach('server: after the write, before the answer');
      },
    };
  }
}

const total = 12;

/** A registry's client that keeps its attemptId on a disk, or forgets it with each crash. */
async function pullThroughCrash(place: Place, nth: number, forgetful: boolean) {
  const store = new CrashingStore();
  const clock = new TurnedClock();
  const log = filledLog(total);
  const processed: { sequence: number; deliveryCount: number }[] = [];
  const confirmed: number[] = [];
  let left = nth;
  let crashed = false;
  const reach = (at: Place): void => {
    if (at === place && --left === 0) {
      crashed = true;
      throw new Crash(at);
    }
  };
  store.reach = reach;
  let leases = await openLeases({ store, log, clock });
  let attempt = 1;
  let lives = 1;

  const round = async (): Promise<boolean> => {
    const batch = await leases.fetch(forgetful ? `${lives}-${attempt}` : `${attempt}`, 4, { leaseMs: 60_000 });
    reach('network: the answer is lost');
    reach('client: after the batch came');
    const confirmedBefore = confirmed.length;
    for (const [index, { sequence, deliveryCount }] of batch.request.entries()) {
      ok(sequence > confirmedBefore, 'delivered again after its confirmation');
      if (index === 2) reach('client: after half of the batch');
      processed.push({ sequence, deliveryCount });
    }
    const last = batch.sequences.at(-1);
    if (last === undefined) return false;
    reach('client: before Confirm');
    await leases.confirm(batch.token, last);
    reach('network: the answer is lost');
    reach('client: before it notes that Confirm was answered');
    while (confirmed.length < last) confirmed.push(confirmed.length + 1);
    attempt++;
    return true;
  };

  for (let tries = 0; tries < 40; tries++) {
    try {
      if (!(await round())) return { processed, crashed, leases };
    } catch (error) {
      if (error instanceof QueueError && error.code === 'LEASE_HELD') {
        await clock.turn(60_000);
        continue;
      }
      // The journal's failure reaches the client as UNAVAILABLE, and the stage is started anew.
      ok(error instanceof Crash || (error instanceof QueueError && error.code === 'UNAVAILABLE'), String(error));
      lives++;
      if (place.startsWith('server')) {
        leases.leases.stop();
        leases = await openLeases({ store, log, clock });
      }
    }
  }
  throw new Error('the client never came to the end');
}

for (const place of places) {
  for (const forgetful of [false, true]) {
    test(`a crash loses, skips and reorders nothing: ${place}${forgetful ? ', attemptId forgotten' : ''}`, async () => {
      let times = 0;
      for (let nth = 1; ; nth++) {
        const { processed, crashed, leases } = await pullThroughCrash(place, nth, forgetful);
        const firsts = processed.filter(
          ({ sequence }, at) => processed.findIndex((e) => e.sequence === sequence) === at,
        );
        deepEqual(
          firsts.map(({ sequence }) => sequence),
          Array.from({ length: total }, (_, at) => at + 1),
        );
        for (const [at, { sequence, deliveryCount }] of processed.entries()) {
          const before = processed.slice(0, at).filter((each) => each.sequence === sequence).length;
          ok(deliveryCount <= before + 2, 'counted more often than delivered');
          if (forgetful && before > 0) ok(deliveryCount > 1, 'delivered again, but not counted');
        }
        equal(leases.leaseStore.state.confirmedThrough, total);
        if (!crashed) break;
        times++;
      }
      ok(times >= 3, `the place was reached ${times} times only`);
    });
  }
}
