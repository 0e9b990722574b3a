// What every stage shows to the composition root: where it listens, why it cannot go on, and how to stop it.
// A stage that cannot start throws instead of giving one of these.

/** A running stage. */
export interface Stage {
  /** Where it listens, if it does: the port that the system picked stands here. */
  readonly address?: { readonly host: string; readonly port: number };
  /** Resolves with the reason when the stage cannot go on; whoever started it ends the process. */
  readonly failed: Promise<Error>;
  /** Reads again what may change while it runs (the registrar book). What cannot be used is logged, and what was stays. */
  reload?(): Promise<void>;
  /** Stops in order: nothing new, what is under way is finished, journals closed. */
  stop(): Promise<void>;
}
