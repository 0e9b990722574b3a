// What is written into the acknowledgement journal, and the words for how an acknowledgement stands. Plain data: ack-state.ts
// says what it means.

import type { ParseEvent } from '../../mail/parser-guard.ts';
import type { Range } from '../../model/range-set.ts';

/** How requests end. */
export type Ending = 'sent' | 'skipped' | 'failed';

/** An acknowledgement that waits for its next try. Times are milliseconds since 1970 UTC. */
export interface Retry {
  readonly sequence: number;
  readonly attempts: number;
  readonly nextAt: number;
  /** The relay's last reply code, 0 when there was none. */
  readonly code: number;
  readonly text: string;
  /** When an operator asked for it last; absent: nobody did. */
  readonly askedAt?: number;
}

/** An acknowledgement that will not be tried again, unless an operator asks for it. */
export interface Failure {
  readonly sequence: number;
  readonly at: number;
  /** Absent in what was written before tries were counted here. */
  readonly attempts?: number;
  readonly code: number;
  readonly text: string;
}

/** Many acknowledgements in one mail, to an address that got as many as it may. Fixed before the mail is sent, so that a repeat is the same. */
export interface Digest {
  /** The first of its requests, which stands for all of them where one is tried again. */
  readonly head: number;
  /** When it was made, milliseconds since 1970 UTC. */
  readonly at: number;
  readonly to: string;
  readonly ranges: readonly Range[];
}

/** The sets of sequences that a snapshot holds. */
export type SnapshotSet = 'above' | 'skipped' | 'failed' | 'poisoned';

export type AckEvent =
  /** The log that this journal belongs to. */
  | { readonly type: 'log'; readonly id: string }
  /** Settled by a sent acknowledgement, or because none is due. */
  | { readonly type: 'sent' | 'skipped'; readonly ranges: readonly Range[] }
  | ({ readonly type: 'failed' } & Failure)
  | ({ readonly type: 'retry' } & Retry)
  | ({ readonly type: 'digest' } & Digest)
  | ParseEvent
  /** An operator wants another try: of one that waits for its next, or of one that is settled, which waits again then. */
  | ({ readonly type: 'again' } & Retry)
  /** Begins a snapshot: everything before it is forgotten. The next three, `retry` and `digest` follow it. */
  | {
      readonly type: 'base';
      readonly settledThrough: number;
      readonly counts: Readonly<Record<Ending, number>>;
      readonly forgottenThrough: number;
      readonly poisoned?: number;
    }
  | { readonly type: 'kept'; readonly set: SnapshotSet; readonly ranges: readonly Range[] }
  | ({ readonly type: 'failure' } & Failure)
  /** One that was settled and waits again. */
  | ({ readonly type: 'reopened' } & Retry);

/** What `seawall list` says about a request's acknowledgement. */
export type AckStateName =
  | 'waiting'
  | 'retrying'
  | 'acknowledged'
  | 'none due'
  | 'failed'
  /** Settled so long ago, among so many skipped and failed ones, that how is no longer kept. */
  | 'settled';
