import { randomFillSync } from 'node:crypto';
import { classIn, ednsUdpBytes, flag, headerBytes, optBytes, rrType } from '../wire/constants.ts';
import type { Question } from '../wire/message.ts';
import { lowerName, type WireName } from '../wire/names.ts';

const pool = Buffer.alloc(4096);
let used = pool.length;

/** From the kernel's random number generator, many at a time. */
function randomByte(): number {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  return pool[used++]!;
}

export const randomId = (): number => (randomByte() << 8) | randomByte();

/** In a random case, which an answer must come back with (0x20): a bit more to be guessed for every letter. */
export function randomCase(name: WireName): WireName {
  let mixed = '';
  let bits = 0;
  for (let i = 0, left = 0; i < name.length; i++, left--) {
    if (left === 0) {
      bits = randomByte();
      left = 8;
    }
    const c = name.charCodeAt(i);
    // Lengths are below the letters.
    mixed += c >= 97 && c <= 122 && bits & 1 ? String.fromCharCode(c - 32) : name[i];
    bits >>= 1;
  }
  return mixed;
}

export interface RequestOptions {
  id: number;
  /** As it is to be asked, in whatever case; by default lower. */
  name?: WireName;
  /** Default true. Some servers know no EDNS. */
  edns?: boolean;
  /** Length is filled up to a multiple of this (RFC 7830, RFC 8467), so that it tells less of what is asked for. */
  padTo?: number;
}

const paddingOption = 12;

/**
 * A question for a resolver. AD says that we understand it in answers (RFC 6840 5.7); nothing of the asker's own options is carried along.
 */
export function encodeRequest(
  question: Question,
  { id, name = lowerName(question.name), edns = true, padTo }: RequestOptions,
): Buffer {
  const bare = headerBytes + name.length + 4 + (edns ? optBytes : 0);
  const length = edns && padTo ? Math.ceil((bare + 4) / padTo) * padTo : bare;
  const request = Buffer.alloc(length);
  request.writeUInt16BE(id, 0);
  request.writeUInt16BE((question.iterative ? 0 : flag.RD) | flag.AD | (question.checkingDisabled ? flag.CD : 0), 2);
  request.writeUInt16BE(1, 4);
  request.write(name, headerBytes, 'latin1');
  let at = headerBytes + name.length;
  at = request.writeUInt16BE(question.type, at);
  at = request.writeUInt16BE(classIn, at);
  if (!edns) return request;
  request.writeUInt16BE(1, 10);
  at = request.writeUInt16BE(rrType.OPT, at + 1);
  at = request.writeUInt16BE(ednsUdpBytes, at);
  at = request.writeUInt16BE(question.dnssecOk ? 0x8000 : 0, at + 2);
  if (length === bare) return request;
  at = request.writeUInt16BE(length - bare, at);
  at = request.writeUInt16BE(paddingOption, at);
  request.writeUInt16BE(length - bare - 4, at);
  return request;
}
