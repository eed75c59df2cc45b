import { CniError, cniCode } from './errors.ts';

export interface Envelope {
  /** The environment strings that start with `CNI_`; of one given twice the first counts, as with getenv(3). */
  env: ReadonlyMap<string, string>;
  stdin: Buffer;
}

export interface Reply {
  exitCode: number;
  stdout: string;
}

/**
 * Takes what the executable sent apart: every environment string ended by NUL, one more NUL, then stdin (docs/architecture.md).
 * @throws CniError 6 when it is anything else
 */
export function parseEnvelope(bytes: Buffer): Envelope {
  const env = new Map<string, string>();
  let at = 0;
  for (;;) {
    const end = bytes.indexOf(0, at);
    if (end < 0)
      throw new CniError(
        cniCode.decode,
        `the request ends inside of the environment, after ${bytes.length} bytes`,
        'only the podnet CNI executable speaks to this socket',
      );
    if (end === at) return { env, stdin: bytes.subarray(end + 1) };
    const text = bytes.toString('utf8', at, end);
    const equals = text.indexOf('=');
    if (!text.startsWith('CNI_') || equals < 0)
      throw new CniError(
        cniCode.decode,
        `the request has ${JSON.stringify(text.slice(0, 40))} where a CNI_ variable was expected`,
      );
    const name = text.slice(0, equals);
    if (!env.has(name)) env.set(name, text.slice(equals + 1));
    at = end + 1;
  }
}

/** First byte '0' + exit code, the rest is for stdout. */
export const encodeReply = (reply: Reply): Buffer => Buffer.from(`${reply.exitCode}${reply.stdout}`);
