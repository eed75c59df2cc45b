const firstMs = 10_000;
const longestMs = 300_000;
const forgottenAfterMs = 600_000;

/** How long a container that keeps ending waits for its next start: 10 s, doubling to 5 minutes, forgotten after 10 good minutes. */
export class CrashBackoff {
  #nextMs = 0;

  /** The container ended after it ran for so long. @returns how long to wait; the first restart does not wait */
  ended(ranMs: number): number {
    if (ranMs >= forgottenAfterMs) this.#nextMs = 0;
    const waitMs = this.#nextMs;
    this.#nextMs = Math.min(waitMs === 0 ? firstMs : waitMs * 2, longestMs);
    return waitMs;
  }
}
