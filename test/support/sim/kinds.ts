// The two stages that follow the log, as the simulation plays them: their real states, and events of the kinds that they write.

import type { AckEvent } from '../../../src/acknowledge/journal/ack-events.ts';
import type { DeliverEvent } from '../../../src/deliver/leases/lease-state.ts';
import type { Kind } from './sim-follower.ts';
import type { Subject } from './subject.ts';

export function acknowledging({ AckState }: Subject): Kind<AckEvent> {
  return {
    name: 'acknowledge',
    newState: () => new AckState(),
    events: (requests, random) =>
      requests.flatMap(({ sequence }): AckEvent[] => {
        const at = { sequence, at: 5, code: 550, text: 'no such user '.repeat(random.below(20)) };
        const retry = { type: 'retry', sequence, attempts: 1, nextAt: 7, code: 450, text: 'later' } as const;
        return random.pick<AckEvent[]>([
          [{ type: 'sent', ranges: [[sequence, sequence]] }],
          [{ type: 'sent', ranges: [[sequence, sequence]] }],
          [{ type: 'sent', ranges: [[sequence, sequence]] }],
          random.chance(0.3) ? [retry] : [{ type: 'sent', ranges: [[sequence, sequence]] }],
          [retry, { type: 'skipped', ranges: [[sequence, sequence]] }],
          [{ type: 'failed', ...at }],
        ]);
      }),
  };
}

export function delivering({ LeaseState }: Subject): Kind<DeliverEvent> {
  return {
    name: 'deliver',
    newState: () => new LeaseState(),
    events(requests, random, unique) {
      const window = requests.map(({ sequence }) => [sequence, sequence] as const);
      const lease = { owner: 'registry', clientId: 'registry', attemptId: unique, until: 9, ms: 5, window };
      const batchId = `batch-${unique}`;
      const confirmed = random.chance(0.1) ? window.slice(0, 1) : window;
      return [
        { type: 'leased', batchId, ...lease },
        random.chance(0.8) ? { type: 'confirmed', batchId, sequences: confirmed } : { type: 'returned', batchId },
      ];
    },
  };
}
