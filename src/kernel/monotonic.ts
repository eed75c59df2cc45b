/**
 * Milliseconds of the clock that nobody sets (CLOCK_MONOTONIC): the same for all processes of the machine, so that one may tell another when something ends, whatever becomes of the
 * date meanwhile (F48). Not for what outlives a boot.
 */
export const monotonicMs = (): number => Number(process.hrtime.bigint() / 1_000_000n);
