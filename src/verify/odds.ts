/** The chance that an even spread is called uneven, for one attempt. A thousand attempts: one false alarm in a million runs. */
export const falseAlarm = 1e-9;
/** The chance that an endpoint which should be gone, and has an even share, is not seen. */
const staleUnseen = 1e-3;

/**
 * How many connections show that each of `n` endpoints is chosen, and nobody else. Each endpoint is missed with (1 - 1/n)^k, any of them with at most n times
 * that. With one endpoint too many, each has 1/(n + 1).
 */
export function connectionsFor(n: number): number {
  const seen = n === 1 ? 1 : Math.log(falseAlarm / n) / Math.log(1 - 1 / n);
  const stale = Math.log(staleUnseen) / Math.log(n / (n + 1));
  return Math.ceil(Math.max(seen, stale));
}

/**
 * How many of `n` endpoints may stay unseen after `k` connections without a fault. Any m of them are all missed with at most C(n, m) (1 - m/n)^k; the first m for
 * which that is too unlikely is a fault.
 */
export function mayMiss(n: number, k: number): number {
  let logChoices = 0;
  for (let m = 1; m < n; m++) {
    logChoices += Math.log((n - m + 1) / m);
    if (logChoices + k * Math.log(1 - m / n) <= Math.log(falseAlarm)) return m - 1;
  }
  // Somebody is always chosen.
  return n - 1;
}

/** Whether one of `n` endpoints was chosen more often than chance explains: Chernoff's bound on the binomial tail, times n. */
export function isTooMany(n: number, k: number, times: number): boolean {
  const share = times / k;
  if (share <= 1 / n) return false;
  const rest = share === 1 ? 0 : (1 - share) * Math.log((1 - share) / (1 - 1 / n));
  return n > 1 && Math.log(n) - k * (share * Math.log(share * n) + rest) <= Math.log(falseAlarm);
}

/** The most connections that one attempt may make, so that all together make at most `budget`. */
export function capFor(wanted: readonly number[], budget: number): number {
  const sorted = [...wanted].sort((a, b) => a - b);
  let left = budget;
  for (const [i, count] of sorted.entries()) {
    const each = Math.max(1, Math.floor(left / (sorted.length - i)));
    if (count > each) return each;
    left -= count;
  }
  return Number.POSITIVE_INFINITY;
}
