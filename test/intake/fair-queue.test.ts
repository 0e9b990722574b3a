import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Flow, FairQueue, type Permit } from '../../src/intake/policy/fair-queue.ts';

/** A flow that notes who of it got its turn. */
function asking(places: FairQueue, flow: Flow, count: number, begun: Permit[]): void {
  for (let i = 0; i < count; i++) places.ask(flow, (turn) => begun.push(turn));
}

test('within its own places nobody waits, whatever the others do', () => {
  const places = new FairQueue(4);
  const [crowd, few] = [new Flow(1, 2, 1000), new Flow(1, 2, 1000)];
  const begun: Permit[] = [];
  asking(places, crowd, 1000, begun);
  assert.equal(begun.length, 2 + 4);
  asking(places, few, 2, begun);
  assert.equal(few.inProgress, 2);
  // A third waits its turn among the crowd: it is served by the very next place that is free.
  asking(places, few, 1, begun);
  assert.equal(few.inProgress, 2);
  places.release(begun[0]!, 100);
  assert.equal(few.inProgress, 3);
});

test('common places go round by weight, however many wait', () => {
  const places = new FairQueue(5);
  const [single, double] = [new Flow(1, 0, 1e6), new Flow(2, 0, 1e6)];
  const begun: Permit[] = [];
  asking(places, single, 5_000, begun);
  asking(places, double, 700, begun);
  for (let i = 0; i < 900; i++) places.release(begun[i]!, 1_000);
  const later = begun.slice(5, 5 + 900);
  const ofDouble = later.filter(({ flow }) => flow === double).length;
  assert.ok(Math.abs(ofDouble - 600) <= 2, `${ofDouble} of 900`);
});

test('a large message uses as many turns as it has of 64 KiB begun', () => {
  const places = new FairQueue(1);
  const [large, small] = [new Flow(1, 0, 1e6), new Flow(1, 0, 1e6)];
  const begun: Permit[] = [];
  asking(places, large, 200, begun);
  asking(places, small, 800, begun);
  for (let i = 0; i < 500; i++) places.release(begun[i]!, begun[i]!.flow === large ? 4 * 65_536 : 1_000);
  const ofLarge = begun.slice(0, 500).filter(({ flow }) => flow === large).length;
  assert.ok(Math.abs(ofLarge - 100) <= 2, `${ofLarge} of 500`);
});

test('whoever could not go for its own bounds has saved up no turns', () => {
  const places = new FairQueue(2);
  const [bounded, other] = [new Flow(1, 0, 1), new Flow(1, 0, 1e6)];
  const begun: Permit[] = [];
  asking(places, bounded, 100, begun);
  asking(places, other, 1_000, begun);
  // The one message of `bounded` takes as long as 400 of the other.
  for (let i = 1; i <= 400; i++) places.release(begun[i]!, 1);
  const before = begun.length;
  places.release(begun[0]!, 1);
  for (let i = 401; i <= 440; i++) places.release(begun[i]!, 1);
  const ofBounded = begun.slice(before).filter(({ flow }) => flow === bounded).length;
  assert.ok(ofBounded <= 21, `${ofBounded} of 41`);
});

test('a turn that is given up is passed over, and the line goes on', () => {
  const places = new FairQueue(1);
  const [a, b] = [new Flow(1, 0, 10), new Flow(1, 0, 10)];
  const begun: Permit[] = [];
  asking(places, a, 1, begun);
  const waits = places.ask(a, (turn) => begun.push(turn));
  asking(places, b, 1, begun);
  places.giveUp(waits);
  places.giveUp(waits);
  places.release(begun[0]!, 1);
  assert.deepEqual([begun.length, a.waiting.size, b.inProgress], [2, 0, 1]);
});

test('no sequence of events breaks the bounds, starves anyone or leaves a place empty while somebody may go', () => {
  const event = fc.record({ who: fc.nat(3), what: fc.nat(6), bytes: fc.nat(200_000) });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 300 }), fc.nat(4), (events, common) => {
      const places = new FairQueue(common);
      const all = [1, 2, 3, 5].map((weight, i) => new Flow(weight, i, 4 + i));
      const begun: Permit[] = [];
      const waiting = new Set<Permit>();
      for (const { who, what, bytes } of events) {
        const flow = all[who]!;
        if (what < 3) {
          const turn = places.ask(flow, (each) => {
            waiting.delete(each);
            begun.push(each);
          });
          if (flow.waiting.has(turn)) waiting.add(turn);
        } else if (what < 5) {
          const at = begun.findIndex((each) => each.flow === flow);
          if (at !== -1) places.release(begun.splice(at, 1)[0]!, bytes);
        } else if (what === 6) {
          const long = begun.find((each) => each.flow === flow);
          if (long) places.setAside(long);
        } else {
          const [turn] = flow.waiting;
          if (turn) {
            places.giveUp(turn);
            waiting.delete(turn);
          }
        }
        let used = 0;
        for (const each of all) {
          assert.equal(each.inProgress, begun.filter((turn) => turn.flow === each).length);
          assert.equal(each.waiting.size, [...waiting].filter((turn) => turn.flow === each).length);
          assert.ok(
            each.inProgress <= each.most &&
              each.inProgress - each.common - each.aside.size <= each.own &&
              each.common >= 0,
          );
          used += each.common;
        }
        assert.ok(used <= common);
        for (const { waiting: line, inProgress, most, own, common: held, aside } of all) {
          if (line.size > 0 && inProgress < most) assert.ok(inProgress - held - aside.size >= own && used === common);
        }
      }
    }),
    { seed: 20081, numRuns: 300 },
  );
});

test('messages that take long hold no common place that others wait for, and go on without one', () => {
  const places = new FairQueue(4);
  const [drips, honest] = [new Flow(1, 1, 12), new Flow(1, 1, 100)];
  const dripping: Permit[] = [];
  const sent: Permit[] = [];
  asking(places, drips, 20, dripping);
  for (const permit of dripping) places.setAside(permit);
  assert.equal(drips.inProgress, 5, 'nobody else waits');
  asking(places, honest, 30, sent);
  assert.equal(sent.length, 1);
  for (let round = 0; round < 3; round++) for (const permit of dripping) places.setAside(permit);
  // They have turns like everybody, but what they hold is given on.
  assert.deepEqual([drips.common, honest.common, sent.length], [0, 4, 5]);
  assert.ok(drips.inProgress <= 12);
  for (let i = 0; i < sent.length; i++) places.release(sent[i]!, 100);
  assert.equal(sent.length, 30);
  for (let i = 0; i < dripping.length; i++) places.release(dripping[i]!, 100);
  assert.equal(dripping.length, 20);
  assert.deepEqual([drips.inProgress, drips.common, drips.aside.size, honest.common], [0, 0, 0, 0]);
});
