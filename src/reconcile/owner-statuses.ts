/** How an owner's items stand. `since` is when the state began, in milliseconds of the clock. */
export type OwnerStatus =
  | { state: 'pending'; since: number }
  | { state: 'done'; since: number }
  | { state: 'error'; since: number; why: string };

/** The status of each owner, told when it is another, and whose status is to be found out again. */
export class OwnerStatuses {
  readonly #now: () => number;
  readonly #onStatus: (owner: string, status: OwnerStatus | undefined) => void;
  readonly #statuses = new Map<string, OwnerStatus>();
  /** To be found out again by the next sync. */
  readonly unsettled = new Set<string>();
  /** The latest of its kind: owners of one sync, all of a cluster at the start, have it in common. */
  #done: OwnerStatus = { state: 'done', since: 0 };

  constructor(now: () => number, onStatus: (owner: string, status: OwnerStatus | undefined) => void) {
    this.#now = now;
    this.#onStatus = onStatus;
  }

  get all(): ReadonlyMap<string, OwnerStatus> {
    return this.#statuses;
  }

  pending(owner: string): void {
    this.#set(owner, { state: 'pending', since: this.#now() });
  }

  /** @param why what was refused of its items, and what others want otherwise */
  settle(owner: string, { why, isPending }: { why: readonly string[]; isPending: boolean }): void {
    this.unsettled.delete(owner);
    const since = this.#now();
    if (why.length > 0) this.#set(owner, { state: 'error', since, why: summary(why) });
    else if (isPending) {
      this.unsettled.add(owner);
      this.#set(owner, { state: 'pending', since });
    } else this.#set(owner, (this.#done = this.#done.since === since ? this.#done : { state: 'done', since }));
  }

  /** It wants nothing any more. */
  forget(owner: string): void {
    if (this.#statuses.delete(owner)) this.#onStatus(owner, undefined);
    this.unsettled.delete(owner);
  }

  #set(owner: string, status: OwnerStatus): void {
    const before = this.#statuses.get(owner);
    const same = before?.state === status.state && (status.state !== 'error' || (before as { why?: string }).why === status.why);
    if (same) return;
    this.#statuses.set(owner, status);
    this.#onStatus(owner, status);
  }
}

/** What only names something that was refused itself (ENOENT) says least. */
function summary(why: readonly string[]): string {
  const isCause = (text: string): boolean => !/\bENOENT\b/.test(text);
  const shown = [...why.filter(isCause), ...why.filter((text) => !isCause(text))].slice(0, 3).join('; ');
  return why.length > 3 ? `${shown}; and ${why.length - 3} more` : shown;
}
