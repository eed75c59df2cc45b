/** Resource record types (IANA "DNS parameters"). */
export const rrType = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  DNAME: 39,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

/** Response codes; BADVERS needs the upper bits that stand in the OPT record (RFC 6891 6.1.3). */
export const rcode = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const;

/** Extended DNS errors (RFC 8914): what a response code does not say. */
export const extendedError = { staleAnswer: 3, notReady: 14, prohibited: 18, staleNxdomain: 19, noReachableAuthority: 22 } as const;

const rcodeNames = new Map<number, string>(Object.entries(rcode).map(([name, number]) => [number, name]));
const typeNames = new Map<number, string>(Object.entries(rrType).map(([name, number]) => [number, name]));

export const rcodeName = (number: number): string => rcodeNames.get(number) ?? `RCODE${number}`;
/** Unknown types as RFC 3597 writes them. */
export const typeName = (number: number): string => typeNames.get(number) ?? `TYPE${number}`;

/** Class IN; the only one served. */
export const classIn = 1;

/** Bits of the second 16-bit word of the header (RFC 1035 4.1.1, RFC 4035 3). */
export const flag = { QR: 0x8000, AA: 0x0400, TC: 0x0200, RD: 0x0100, RA: 0x0080, AD: 0x0020, CD: 0x0010 } as const;

export const headerBytes = 12;
/** UDP without EDNS (RFC 1035 4.2.1). */
export const plainUdpBytes = 512;
/** What we say in EDNS, and the most we ever send over UDP: fits an IPv6 minimum MTU without fragments (DNS flag day 2020). */
export const ednsUdpBytes = 1232;
export const tcpBytes = 65535;
/** Option code of an extended error (RFC 8914 2), and what it takes in OPT without a text. */
export const extendedErrorOption = 15;
export const extendedErrorBytes = 6;
/** An OPT record without options. */
export const optBytes = 11;
