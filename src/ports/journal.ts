// The port for a stage's own durable memory: small events, appended and replayed. The log says what came; a journal says what
// was done about it. Opening fails with InUseError, or with DamagedLogError when what stands there cannot be trusted.

/** A journal of one stage. One holder at a time; a second one fences the first. */
export interface Journal<Event> {
  /**
   * Puts the events on stable storage, then applies them to the state, then resolves: the holder never applies an event
   * itself. Calls made while one is under way are gathered into one write and keep their order.
   * After a rejection nothing may be answered; the holder leaves.
   */
  append(events: readonly Event[]): Promise<void>;
  /** Which holder of this journal we are: grows with each opening, and carries randomness that a restored copy cannot repeat. */
  readonly epoch: string;
  /** Resolves when the journal may no longer be written, with the reason. */
  readonly lost: Promise<Error>;
  close(): Promise<void>;
}

/** What the holder knows, as the journal needs it: how an event changes it, and the fewest events that would rebuild it. */
export interface JournalState<Event> {
  apply(event: Event): void;
  snapshot(): Event[];
}

/** Opens the journal of a stage: replays every event into `state`, then takes new ones. Compacts itself through `snapshot`. */
export type OpenJournal = <Event>(name: string, state: JournalState<Event>) => Promise<Journal<Event>>;
