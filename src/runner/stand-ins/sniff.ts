/** What a client speaks, seen from its first bytes. */
export type Protocol = 'http1' | 'http2' | 'tls' | 'other';

/** RFC 9113 section 3.4. */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'CONNECT'].map((name) =>
  Buffer.from(`${name} `, 'latin1'),
);

/** As much as is there of the shorter one is equal. */
function agrees(bytes: Buffer, pattern: Buffer): boolean {
  const length = Math.min(bytes.length, pattern.length);
  return bytes.compare(pattern, 0, length, 0, length) === 0;
}

/**
 * Decides by as few bytes as are enough; never takes back what it said for fewer bytes.
 * @returns undefined when more bytes are needed
 */
export function sniff(bytes: Buffer): Protocol | undefined {
  if (bytes.length === 0) return undefined;
  // TLS: record type handshake (22), version 3.x (RFC 8446 section 5.1)
  if (bytes[0] === 0x16) {
    if (bytes.length === 1) return undefined;
    return bytes[1] === 3 ? 'tls' : 'other';
  }
  if (agrees(bytes, preface)) return bytes.length >= preface.length ? 'http2' : undefined;
  for (const method of methods) if (agrees(bytes, method)) return bytes.length >= method.length ? 'http1' : undefined;
  return 'other';
}
