import { type Api, isAlreadyExists, isConflict, isNotFound } from './api.ts';
import { jsonEqual, kubeMicroTime } from './objects.ts';
import { Leases } from './resources.ts';
import type { Lease, LeaseSpec } from './types.ts';

export interface LeaderElectionOptions {
  api: Pick<Api, 'get' | 'create' | 'update'>;
  /** Of the Lease. */
  namespace: string;
  name: string;
  /** Of this candidate; who begins anew under the same one goes on where it was. */
  identity: string;
  onStarted: () => void;
  onStopped: () => void;
  onError: (error: Error) => void;
  /** It worked again. */
  onWell: () => void;
  /** How long it is somebody's who does not renew it. */
  durationMs?: number;
  /** So long a leader tries to renew it before it stops. */
  renewDeadlineMs?: number;
  /** Between two renewals, or tries. */
  retryMs?: number;
  /** How many candidates there may be: together they ask twenty times a second at most. */
  candidates?: () => number;
}

/** Of each candidate between two looks, for each candidate that there is. */
const msPerCandidate = 50;

/**
 * One leader among processes that ask for the same Lease, as client-go's leaderelection does it: who holds it renews it, and whoever has seen it unchanged for its duration, by a clock
 * of its own, takes it. Clocks of machines are never compared. Two may lead for a moment when one of them was stopped and goes on, so what a leader does must bear that.
 */
export class LeaderElection implements Disposable {
  readonly #options: Required<LeaderElectionOptions>;
  /** As read or written last, and when it was first seen so. */
  #seen: { lease: Lease; at: number } | undefined;
  #renewed = 0;
  #isLeader = false;
  #isRunning = false;
  #isAsking = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = { durationMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2000, candidates: () => 1, ...options };
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  /** Becomes a candidate. They begin at different times, so that the first one's work is done when others would begin. */
  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#plan(Math.random() * msPerCandidate * this.#options.candidates());
  }

  /** Is no candidate any more; who leads gives the Lease back, so that the next one need not wait. */
  stop(): void {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    clearTimeout(this.#timer);
    if (!this.#isLeader) return;
    this.#lose();
    void this.#release();
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  #plan(afterMs: number): void {
    clearTimeout(this.#timer);
    if (this.#isRunning) this.#timer = setTimeout(() => void this.#ask(), afterMs).unref();
  }

  async #ask(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const { onError, onWell, renewDeadlineMs, retryMs } = this.#options;
    try {
      const holds = await this.#acquireOrRenew();
      onWell();
      if (!this.#isRunning) {
        if (holds) void this.#release();
      } else if (!holds) this.#lose();
      else if (!this.#isLeader) {
        this.#isLeader = true;
        this.#options.onStarted();
      }
    } catch (error) {
      // Somebody was faster: what it is now says the next look.
      if (!isConflict(error) && !isAlreadyExists(error)) onError(error as Error);
      if (performance.now() - this.#renewed >= renewDeadlineMs) this.#lose();
    } finally {
      this.#isAsking = false;
      this.#plan(this.#isLeader ? retryMs : this.#lookMs());
    }
  }

  #lose(): void {
    if (!this.#isLeader) return;
    this.#isLeader = false;
    this.#options.onStopped();
  }

  /** @returns whether it is held */
  async #acquireOrRenew(): Promise<boolean> {
    const { api, namespace, name, identity } = this.#options;
    // Who leads knows the Lease, and need not read it.
    if (!this.#isLeader) {
      try {
        this.#see(await api.get(Leases, name, namespace));
      } catch (error) {
        if (!isNotFound(error)) throw error;
        this.#keep(await api.create(Leases, { metadata: { namespace, name }, spec: this.#spec(undefined) }));
        return true;
      }
    }
    const { lease, at } = this.#seen!;
    const { holderIdentity, leaseDurationSeconds = 0 } = lease.spec ?? {};
    const isOthers = holderIdentity !== undefined && holderIdentity !== '' && holderIdentity !== identity;
    if (isOthers && performance.now() < at + leaseDurationSeconds * 1000) return false;
    try {
      this.#keep(await api.update(Leases, { ...lease, spec: this.#spec(lease.spec) }));
    } catch (error) {
      // It is not as it was known: a leader reads it, and leads on if it is still the holder.
      if (!this.#isLeader || !(isConflict(error) || isNotFound(error))) throw error;
      const now = await api.get(Leases, name, namespace);
      this.#see(now);
      if (now.spec?.holderIdentity !== identity) return false;
      this.#keep(await api.update(Leases, { ...now, spec: this.#spec(now.spec) }));
    }
    return true;
  }

  #spec(before: LeaseSpec | undefined): LeaseSpec {
    const { identity, durationMs } = this.#options;
    const now = kubeMicroTime(Date.now());
    const isMine = before?.holderIdentity === identity;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(durationMs / 1000),
      acquireTime: (isMine && before.acquireTime) || now,
      renewTime: now,
      leaseTransitions: (before?.leaseTransitions ?? 0) + (before && !isMine ? 1 : 0),
    };
  }

  #see(lease: Lease): void {
    if (!this.#seen || !jsonEqual(this.#seen.lease.spec, lease.spec)) this.#seen = { lease, at: performance.now() };
    else this.#seen.lease = lease;
  }

  #keep(lease: Lease): void {
    this.#seen = { lease, at: performance.now() };
    this.#renewed = performance.now();
  }

  /** Of many candidates each looks seldom; one that sees a Lease which seems to be over looks again when that would be certain. */
  #lookMs(): number {
    const { retryMs, candidates } = this.#options;
    const often = Math.max(retryMs, candidates() * msPerCandidate) * (1 + Math.random() * 0.2);
    const { renewTime, leaseDurationSeconds = 0 } = this.#seen?.lease.spec ?? {};
    const seemsOver = Date.now() > Date.parse(renewTime ?? '') + leaseDurationSeconds * 1000;
    return seemsOver ? Math.min(often, Math.max(retryMs, leaseDurationSeconds * 1000)) : often;
  }

  async #release(): Promise<void> {
    const lease = this.#seen!.lease;
    const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: kubeMicroTime(Date.now()) };
    try {
      await this.#options.api.update(Leases, { ...lease, spec });
    } catch {
      // Then it ends by itself.
    }
  }
}
