/** RFC 3339 with nine digits, UTC, from nanoseconds since 1970. */
export function timestamp(nanoseconds: bigint): string {
  const seconds = new Date(Number(nanoseconds / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${String(nanoseconds % 1_000_000_000n).padStart(9, '0')}Z`;
}

export interface LogLine {
  time: string;
  stream: string;
  /** The line goes on in the next entry of its stream. */
  partial: boolean;
  content: Buffer;
}

const space = 32;

/** An entry without its newline; undefined when it is not one, e.g. the torn end of a crash. */
export function parseLine(entry: Buffer): LogLine | undefined {
  const first = entry.indexOf(space);
  const second = entry.indexOf(space, first + 1);
  const third = entry.indexOf(space, second + 1);
  if (first < 20 || second < 0 || third < 0) return undefined;
  const flags = entry.toString('latin1', second + 1, third);
  return {
    time: entry.toString('latin1', 0, first),
    stream: entry.toString('latin1', first + 1, second),
    partial: flags.startsWith('P'),
    content: entry.subarray(third + 1),
  };
}
