import { attrs } from '../../wire/attributes.ts';
import { Reader } from '../../wire/reader.ts';
import { cstring, u32 } from '../../wire/scalars.ts';
import { nlmAckCapped, nlmAckTlvs, nlmsgHeaderLength } from './constants.ts';

/** enum nlmsgerr_attrs, include/uapi/linux/netlink.h */
const extackAttrs = attrs({
  message: [1, cstring],
  /** of the attribute at fault, from the request's header on */
  offset: [2, u32],
  /** type of an attribute that should be there */
  missingType: [5, u32],
  /** offset of the nest in which it should be */
  missingNest: [6, u32],
});

export interface Extack {
  extack?: string;
  offset?: number;
}

const text = ({ message, missingType }: { message?: string; missingType?: number }): string | undefined =>
  message ?? (missingType === undefined ? undefined : `attribute ${missingType} is missing`);

/** @param start of the NLMSG_ERROR in the buffer; its flags say what follows the error number */
export function extackOfError(buffer: Buffer, start: number, end: number, flags: number): Extack {
  if (!(flags & nlmAckTlvs)) return {};
  const error = start + nlmsgHeaderLength;
  const requestLength = flags & nlmAckCapped ? nlmsgHeaderLength : buffer.readUInt32LE(error + 4);
  return read(buffer, error + 4 + ((requestLength + 3) & ~3), end);
}

/** An NLMSG_DONE with an error carries the same behind its error number. */
export function extackOfDone(buffer: Buffer, start: number, end: number, flags: number): Extack {
  return flags & nlmAckTlvs ? read(buffer, start + nlmsgHeaderLength + 4, end) : {};
}

function read(buffer: Buffer, at: number, end: number): Extack {
  if (at >= end) return {};
  const found = extackAttrs.decode(new Reader(buffer, at, end));
  return { extack: text(found), offset: found.offset ?? found.missingNest };
}
